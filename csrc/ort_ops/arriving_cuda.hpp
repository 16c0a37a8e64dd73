// What arrives at the outputs of a node that is walked back through, on a GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/elementwise_threads.hpp"
#include "ort_ops/cuda.hpp"
#include "ort_ops/row_shared.hpp"

namespace onnxplain::ort {

// What arrives, repeated as it broadcasts to a shape; `length` has room for kMostAxes.
template <class T>
threads::Input<T> arriving(const Context& context, const Value* g,
                           const std::vector<std::int64_t>& shape, std::int64_t* length,
                           const char* name) {
  const std::vector<std::int64_t> own = context.shape(g);
  check_arriving(own, shape, name);
  const Operand<T> found = operand(context.elements<T>(g), own, shape);
  require(found.lengths.size() <= threads::kMostAxes,
          std::string(name) + ": the gradient is repeated along too many axes for a GPU");
  return threads::input(found, length, 0);
}

}  // namespace onnxplain::ort

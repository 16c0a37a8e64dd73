// What the elementwise operators of all types and devices have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <vector>

#include "kernels/elementwise.hpp"
#include "kernels/planes.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {

// The part of op.hpp's description that is the same on all devices.
template <class T>
struct Elementwise;
template <>
struct Elementwise<float> {
  static constexpr const char* kName = "Elementwise";
  static constexpr ElementType kInputs[] = {kFloat};
  static constexpr ElementType kOutput = kFloat;
  static constexpr bool kIsVariadic = true;
  static std::optional<Lengths> shape(const Shapes& shapes) { return known_broadcast(shapes); }
};
template <>
struct Elementwise<Half> {
  static constexpr const char* kName = "ElementwiseFloat16";
  static constexpr ElementType kInputs[] = {kFloat16};
  static constexpr ElementType kOutput = kFloat16;
  static constexpr bool kIsVariadic = true;
  static std::optional<Lengths> shape(const Shapes& shapes) { return known_broadcast(shapes); }
};

inline ElementwiseProgram program_of(const Info& info) {
  return ElementwiseProgram(static_cast<std::int64_t>(info.input_count()), info.ints("program"),
                            info.floats("constants"));
}

// The tensors of one run.
template <class T>
struct Tensors {
  std::vector<Operand<T>> operands;
  T* out;
  std::int64_t total;
};

// Throws where shapes do not broadcast. Reads shapes alone, not the elements. With more than one
// channel in a block, all lie in blocks.
template <class T>
Tensors<T> tensors_of(const Context& context, std::int64_t block = 1) {
  std::vector<std::vector<std::int64_t>> shapes;
  std::vector<const Value*> values;
  for (std::size_t k = 0; k < context.input_count(); ++k) {
    values.push_back(context.input(k));
    shapes.push_back(context.shape(values.back()));
  }
  std::vector<std::int64_t> result = broadcast(shapes);
  Tensors<T> found{{}, context.output<T>(result), 1};
  if (block > 1) {
    result = in_blocks(result, block);
    for (auto& shape : shapes) {
      shape = in_blocks(shape, block);
    }
  }
  found.total = std::accumulate(result.begin(), result.end(), std::int64_t{1}, std::multiplies<>());
  for (std::size_t k = 0; k < values.size() && found.total > 0; ++k) {
    found.operands.push_back(operand(context.elements<T>(values[k]), shapes[k], result));
  }
  return found;
}

}  // namespace onnxplain::ort

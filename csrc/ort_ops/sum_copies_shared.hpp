// What SumCopies has in common on all devices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/sum_copies.hpp"
#include "onnxplain/check.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {

template <class T>
struct SumCopies {
  static constexpr const char* kName = named<T>("SumCopies", "SumCopiesFloat16");
  static constexpr ElementType kInputs[] = {kElement<T>, kInt64};
  static constexpr ElementType kOutput = kElement<T>;
  static constexpr std::size_t kRequiredInputs = 2;

  explicit SumCopies(const Info&) {}

  // The tensors of one run.
  struct Tensors {
    Copies copies;
    const T* from;
    T* to;
    std::int64_t read;  // numbers in what arrives
  };

  // Throws where lengths do not fit what arrives.
  static Tensors tensors(const Context& context) {
    const Value* arrives = context.input(0);
    const Value* lengths = context.input(1);
    const std::vector<std::int64_t> wide = context.shape(arrives);
    const std::vector<std::int64_t> count = context.shape(lengths);
    require(count.size() == 1, "SumCopies: lengths must have one axis");
    const std::int64_t* own = context.ints(lengths);
    Copies found = copies(wide, std::vector<std::int64_t>(own, own + count[0]));
    T* to = context.output<T>(found.shape);
    std::int64_t read = 1;
    for (const std::int64_t length : wide) {
      read *= length;
    }
    return {std::move(found), context.elements<T>(arrives), to, read};
  }
};

}  // namespace onnxplain::ort

// What Interleave has in common on all devices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/interleave.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {

// Attributes: strides; begins, two numbers for each input; ends, how many rows and columns the
// result has behind the last ones of the first input.
template <class T>
struct Interleave {
  static constexpr const char* kName = named<T>("Interleave", "InterleaveFloat16");
  static constexpr ElementType kInputs[] = {kElement<T>};
  static constexpr ElementType kOutput = kElement<T>;
  static constexpr bool kIsVariadic = true;

  std::vector<std::int64_t> strides;
  std::vector<std::int64_t> begins;
  std::vector<std::int64_t> ends;
  std::int64_t block;

  static std::optional<Lengths> shape(const Shapes& shapes) {
    std::optional<Lengths> found = shapes.input(0);
    const auto strides = shapes.two("strides");
    const auto begins = shapes.two("begins");
    const auto ends = shapes.two("ends");
    if (!found || found->size() != 4 || !strides || !begins || !ends) {
      return std::nullopt;
    }
    for (std::size_t k = 0; k < 2; ++k) {
      std::int64_t& places = (*found)[2 + k].number;
      if (places < 0 || (*strides)[k] < 1 || (*begins)[k] < 0 || (*ends)[k] < 0) {
        return std::nullopt;
      }
      places = length(places, (*begins)[k], (*strides)[k], (*ends)[k]);
    }
    return found;
  }

  explicit Interleave(const Info& info)
      : strides(info.ints("strides")),
        begins(info.ints("begins")),
        ends(info.ints("ends")),
        block(info.integer("block", 1)) {
    require(strides.size() == 2 && strides[0] >= 1 && strides[1] >= 1,
            "Interleave: strides must be two numbers, at least 1");
    require(begins.size() == 2 * info.input_count(), "Interleave: begins must be two per input");
    require(ends.size() == 2 && ends[0] >= 0 && ends[1] >= 0,
            "Interleave: ends must be two numbers, at least 0");
  }

  // The tensors of one run.
  struct Tensors {
    std::vector<PartOf<T>> parts;
    Planes result;
    T* out;
  };

  // Throws where parts do not fit one another.
  Tensors tensors(const Context& context) const {
    std::vector<PartOf<T>> parts;
    std::vector<std::int64_t> shape;
    for (std::size_t k = 0; k < context.input_count(); ++k) {
      const Value* value = context.input(k);
      const std::vector<std::int64_t> own = context.shape(value);
      require(own.size() == 4 && (k == 0 || (own[0] == shape[0] && own[1] == shape[1])),
              "Interleave: parts must have four axes, and the same samples and channels");
      if (k == 0) {
        shape = {own[0], own[1], length(own[2], begins[0], strides[0], ends[0]),
                 length(own[3], begins[1], strides[1], ends[1])};
      }
      parts.push_back(
          {context.elements<T>(value), own[2], own[3], begins[2 * k], begins[2 * k + 1]});
    }
    const Planes result = planes(shape, block);
    check_parts(parts, strides[0], strides[1]);
    return {std::move(parts), result, context.output<T>(shape)};
  }

 private:
  static std::int64_t length(std::int64_t places, std::int64_t begin, std::int64_t stride,
                             std::int64_t end) {
    return begin + (places == 0 ? 0 : (places - 1) * stride + 1) + end;
  }
};

}  // namespace onnxplain::ort

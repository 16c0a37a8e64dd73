// What Surround has in common on all devices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/surround.hpp"
#include "onnxplain/check.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {

// Inputs: patches, the whole value, where patches begin in it, where results begin in it.
// Attributes: size, rows and columns of results; fill, one number, what lies beyond the whole.
struct Surround {
  static constexpr const char* kName = "Surround";
  static constexpr ElementType kInputs[] = {kFloat, kFloat, kInt64, kInt64};
  static constexpr std::size_t kRequiredInputs = 4;

  std::vector<std::int64_t> size;
  std::vector<float> fill;

  static std::optional<Lengths> shape(const Shapes& shapes) {
    std::optional<Lengths> found = shapes.input(0);
    const auto two = shapes.two("size");
    if (!found || found->size() != 4 || !two || (*two)[0] < 0 || (*two)[1] < 0) {
      return std::nullopt;
    }
    for (std::size_t k = 0; k < 2; ++k) {
      (*found)[2 + k] = {(*two)[k], ""};
    }
    return found;
  }

  explicit Surround(const Info& info) : size(info.ints("size")), fill(info.floats("fill")) {
    require(fill.size() == 1, "Surround: fill must be one number");
  }

  // The tensors of one run.
  struct Tensors {
    Surroundings all;
    const float* patch;
    const float* whole;
    const std::int64_t* at;
    const std::int64_t* from;
    float* out;
  };

  // Throws where shapes do not fit one another.
  Tensors tensors(const Context& context) const {
    const Value* values[] = {context.input(0), context.input(1), context.input(2),
                             context.input(3)};
    const Surroundings all = surroundings(context.shape(values[0]), context.shape(values[1]),
                                          context.shape(values[2]), context.shape(values[3]), size);
    return {all,
            context.floats(values[0]),
            context.floats(values[1]),
            context.ints(values[2]),
            context.ints(values[3]),
            context.output({all.samples, all.channels, all.made[0], all.made[1]})};
  }
};

}  // namespace onnxplain::ort

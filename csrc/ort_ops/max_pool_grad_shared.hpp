// What MaxPoolGrad has in common on all devices.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/max_pool_grad.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {

// Inputs: what was pooled, the maxima, a number for each; output: of the first's shape.
template <class T>
struct MaxPoolGrad {
  static constexpr const char* kName = named<T>("MaxPoolGrad", "MaxPoolGradFloat16");
  static constexpr ElementType kInputs[] = {kElement<T>, kElement<T>, kElement<T>};
  static constexpr ElementType kOutput = kElement<T>;
  static constexpr std::size_t kRequiredInputs = 3;

  std::array<WindowAxis, 2> axes;
  std::int64_t block;

  static std::optional<Lengths> shape(const Shapes& shapes) { return shapes.input(0); }

  explicit MaxPoolGrad(const Info& info) : axes{}, block(info.integer("block", 1)) {
    require(block == 1 || !kIsHalf<T>, "MaxPoolGradFloat16: there are no blocks of float16");
    const auto kernel = pair(info, "kernel_shape");
    const auto stride = pair(info, "strides");
    const auto dilation = pair(info, "dilations");
    const auto begin = pair(info, "begins");
    for (std::size_t k = 0; k < 2; ++k) {
      require(kernel[k] >= 1 && stride[k] >= 1 && dilation[k] >= 1 && begin[k] >= 0,
              "MaxPoolGrad: kernel_shape, strides and dilations are at least 1, begins 0");
      axes[k] = {kernel[k], stride[k], dilation[k], begin[k]};
    }
  }

  // The tensors of one run.
  struct Tensors {
    Planes in;
    Planes out;
    const T* x;
    const T* y;
    const T* g;
    T* dx;
  };

  // Throws where the shapes are not those of a pooling.
  Tensors tensors(const Context& context) const {
    const Value* values[] = {context.input(0), context.input(1), context.input(2)};
    const std::vector<std::int64_t> shape = context.shape(values[0]);
    const std::vector<std::int64_t> pooled = context.shape(values[1]);
    const Planes in = planes(shape, block);
    const Planes out = planes(pooled, block);
    require(pooled == context.shape(values[2]) && pooled[0] == shape[0] && pooled[1] == shape[1],
            "MaxPoolGrad: inputs do not have the shapes of a max pooling");
    return {in,
            out,
            context.elements<T>(values[0]),
            context.elements<T>(values[1]),
            context.elements<T>(values[2]),
            context.output<T>(shape)};
  }

 private:
  static std::array<std::int64_t, 2> pair(const Info& info, const char* name) {
    const std::vector<std::int64_t> found = info.ints(name);
    require(found.size() == 2, std::string("MaxPoolGrad: ") + name + " must be two numbers");
    return {found[0], found[1]};
  }
};

}  // namespace onnxplain::ort

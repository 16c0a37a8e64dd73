#include "ort_ops/max_pool_grad_op.hpp"

#include <algorithm>
#include <array>

#include "kernels/max_pool_grad.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {
namespace {

std::array<std::int64_t, 2> pair(const Info& info, const char* name) {
  const std::vector<std::int64_t> found = info.ints(name);
  require(found.size() == 2, std::string("MaxPoolGrad: ") + name + " must be two numbers");
  return {found[0], found[1]};
}

// Inputs: what was pooled, the maxima, a number for each; output: of the first's shape.
class MaxPoolGrad {
 public:
  static constexpr const char* kName = "MaxPoolGrad";
  static constexpr ElementType kInputs[] = {kFloat, kFloat, kFloat};
  static constexpr std::size_t kRequiredInputs = 3;

  explicit MaxPoolGrad(const Info& info) : block_(info.integer("block", 1)) {
    const auto kernel = pair(info, "kernel_shape");
    const auto stride = pair(info, "strides");
    const auto dilation = pair(info, "dilations");
    const auto begin = pair(info, "begins");
    for (std::size_t k = 0; k < 2; ++k) {
      require(kernel[k] >= 1 && stride[k] >= 1 && dilation[k] >= 1 && begin[k] >= 0,
              "MaxPoolGrad: kernel_shape, strides and dilations are at least 1, begins 0");
      axes_[k] = {kernel[k], stride[k], dilation[k], begin[k]};
    }
  }

  void compute(const Context& context) const {
    const Value* values[] = {context.input(0), context.input(1), context.input(2)};
    const std::vector<std::int64_t> shape = context.shape(values[0]);
    const std::vector<std::int64_t> pooled = context.shape(values[1]);
    const Planes in = planes(shape, block_);
    const Planes out = planes(pooled, block_);
    require(pooled == context.shape(values[2]) && pooled[0] == shape[0] && pooled[1] == shape[1],
            "MaxPoolGrad: inputs do not have the shapes of a max pooling");
    const float* x = context.floats(values[0]);
    const float* y = context.floats(values[1]);
    const float* g = context.floats(values[2]);
    float* dx = context.output(shape);
    const std::int64_t together = block_ == 1 ? cpu::planes_together(in) : 1;
    const std::int64_t tasks = (in.count + together - 1) / together;
    over_ranges(context, tasks, 1, [&](std::int64_t begin, std::int64_t end) {
      cpu::PoolScratch scratch(in, out, together);
      for (std::int64_t k = begin; k < end; ++k) {
        const std::int64_t first = k * together;
        cpu::max_pool_grad(axes_[0], axes_[1], in, out, x + first * in.size(),
                           y + first * out.size(), g + first * out.size(), dx + first * in.size(),
                           std::min(together, in.count - first), scratch);
      }
    });
  }

 private:
  std::array<WindowAxis, 2> axes_;
  std::int64_t block_;
};

}  // namespace

const CustomOp& max_pool_grad_op() {
  static const CustomOp op = described<MaxPoolGrad>();
  return op;
}

}  // namespace onnxplain::ort

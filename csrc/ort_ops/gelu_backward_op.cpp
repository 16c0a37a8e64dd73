#include "ort_ops/gelu_backward_op.hpp"

#include <vector>

#include "kernels/gelu_backward.hpp"
#include "ort_ops/arriving.hpp"
#include "ort_ops/gelu_backward_shared.hpp"

namespace onnxplain::ort {
namespace {

class OnCpu : public GeluBackward {
 public:
  using GeluBackward::GeluBackward;

  void compute(const Context& context) const {
    const std::vector<std::int64_t> shape = context.shape(context.input(0));
    const Arriving g(context, context.input(1), shape, kName);
    const float* x = context.floats(context.input(0));
    float* dx = context.output(shape);
    over_ranges(context, size_of(shape), kTask, [&](std::int64_t begin, std::int64_t end) {
      cpu::gelu_backward(factor, x + begin, g.data() + begin, end - begin, dx + begin);
    });
  }
};

}  // namespace

const CustomOp& gelu_backward_op() {
  static const CustomOp op = described<OnCpu>();
  return op;
}

}  // namespace onnxplain::ort

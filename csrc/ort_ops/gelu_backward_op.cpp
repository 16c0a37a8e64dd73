#include "ort_ops/gelu_backward_op.hpp"

#include <vector>

#include "kernels/gelu_backward.hpp"
#include "ort_ops/arriving.hpp"

namespace onnxplain::ort {
namespace {

class GeluBackward {
 public:
  static constexpr const char* kName = "GeluBackward";
  static constexpr ElementType kInputs[] = {kFloat, kFloat};
  static constexpr std::size_t kRequiredInputs = 2;

  explicit GeluBackward(const Info& info) {
    const std::vector<float> factor = info.floats("factor");
    require(factor.size() == 1, "GeluBackward: factor must be one number");
    factor_ = factor[0];
  }

  void compute(const Context& context) const {
    const std::vector<std::int64_t> shape = context.shape(context.input(0));
    const Arriving g(context, context.input(1), shape, kName);
    const float* x = context.floats(context.input(0));
    float* dx = context.output(shape);
    over_ranges(context, size_of(shape), kTask, [&](std::int64_t begin, std::int64_t end) {
      cpu::gelu_backward(factor_, x + begin, g.data() + begin, end - begin, dx + begin);
    });
  }

 private:
  float factor_ = 1.0f;
};

}  // namespace

const CustomOp& gelu_backward_op() {
  static const CustomOp op = described<GeluBackward>();
  return op;
}

}  // namespace onnxplain::ort

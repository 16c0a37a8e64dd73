#include <vector>

#include "kernels/gelu_threads.hpp"
#include "ort_ops/cuda.hpp"
#include "ort_ops/gelu_backward_op.hpp"
#include "ort_ops/gelu_backward_shared.hpp"
#include "ort_ops/row_shared.hpp"

namespace onnxplain::ort {
namespace {

class OnCuda : public GeluBackward {
 public:
  static constexpr const char* kProvider = kCuda;
  using GeluBackward::GeluBackward;

  void compute(const Context& context) const {
    const std::vector<std::int64_t> shape = context.shape(context.input(0));
    const std::vector<std::int64_t> own = context.shape(context.input(1));
    check_arriving(own, shape, kName);
    const float* x = context.floats(context.input(0));
    const Operand<float> g = operand(context.floats(context.input(1)), own, shape);
    require(g.lengths.size() <= threads::kMostAxes,
            "GeluBackward: the gradient is repeated along too many axes for a GPU");
    threads::GeluLaunch launch{};
    launch.x = {x, 0, 0, false, threads::is_aligned(x)};
    launch.g = threads::input(g, launch.length, 0);
    launch.factor = factor;
    launch.by_tanh = by_tanh;
    launch.out = context.output(shape);
    launch.aligned = threads::is_aligned(launch.out);
    launch.total = size_of(shape);
    require_success(cuda::gelu_backward(launch, stream_of(context)), kName);
  }
};

}  // namespace

const CustomOp& gelu_backward_cuda_op() {
  static const CustomOp op = described<OnCuda>();
  return op;
}

}  // namespace onnxplain::ort

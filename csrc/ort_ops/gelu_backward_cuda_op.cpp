#include <vector>

#include "kernels/gelu_threads.hpp"
#include "ort_ops/arriving_cuda.hpp"
#include "ort_ops/gelu_backward_op.hpp"
#include "ort_ops/gelu_backward_shared.hpp"

namespace onnxplain::ort {
namespace {

template <class T>
class OnCuda : public GeluBackward<T> {
 public:
  static constexpr const char* kProvider = kCuda;
  using GeluBackward<T>::GeluBackward;

  void compute(const Context& context) const {
    const std::vector<std::int64_t> shape = context.shape(context.input(0));
    const T* x = context.elements<T>(context.input(0));
    threads::GeluLaunch<T> launch{};
    launch.x = {x, 0, 0, false, threads::is_aligned(x)};
    launch.g = arriving<T>(context, context.input(1), shape, launch.length, this->kName);
    launch.factor = this->factor;
    launch.by_tanh = this->by_tanh;
    launch.out = context.output<T>(shape);
    launch.aligned = threads::is_aligned(launch.out);
    launch.total = size_of(shape);
    require_success(cuda::gelu_backward(launch, stream_of(context)), this->kName);
  }
};

}  // namespace

const CustomOp& gelu_backward_cuda_op() {
  static const CustomOp op = described<OnCuda<float>>();
  return op;
}

const CustomOp& gelu_backward_float16_cuda_op() {
  static const CustomOp op = described<OnCuda<Half>>();
  return op;
}

}  // namespace onnxplain::ort

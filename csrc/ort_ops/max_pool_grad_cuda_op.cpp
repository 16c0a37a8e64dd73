#include "kernels/max_pool_threads.hpp"
#include "ort_ops/cuda.hpp"
#include "ort_ops/max_pool_grad_op.hpp"
#include "ort_ops/max_pool_grad_shared.hpp"

namespace onnxplain::ort {
namespace {

template <class T>
class OnCuda : public MaxPoolGrad<T> {
 public:
  static constexpr const char* kProvider = kCuda;
  using MaxPoolGrad<T>::MaxPoolGrad;

  void compute(const Context& context) const {
    const auto [in, out, x, y, g, dx] = this->tensors(context);
    const threads::PoolLaunch<T> launch{this->axes[0],
                                        this->axes[1],
                                        in,
                                        out,
                                        x,
                                        y,
                                        g,
                                        dx,
                                        threads::is_aligned(x) && threads::is_aligned(dx),
                                        in.count * in.size()};
    require_success(cuda::max_pool_grad(launch, stream_of(context)), this->kName);
  }
};

}  // namespace

const CustomOp& max_pool_grad_cuda_op() {
  static const CustomOp op = described<OnCuda<float>>();
  return op;
}

const CustomOp& max_pool_grad_float16_cuda_op() {
  static const CustomOp op = described<OnCuda<Half>>();
  return op;
}

}  // namespace onnxplain::ort

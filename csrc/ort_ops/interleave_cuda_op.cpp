#include "kernels/interleave_threads.hpp"
#include "ort_ops/cuda.hpp"
#include "ort_ops/interleave_op.hpp"
#include "ort_ops/interleave_shared.hpp"

namespace onnxplain::ort {
namespace {

template <class T>
class OnCuda : public Interleave<T> {
 public:
  static constexpr const char* kProvider = kCuda;
  using Interleave<T>::Interleave;

  void compute(const Context& context) const {
    const auto all = this->tensors(context);
    const auto launch = threads::interleave_launch(all.parts, this->strides[0], this->strides[1],
                                                   all.result, all.out);
    require_success(cuda::interleave(launch, stream_of(context)), this->kName);
  }
};

}  // namespace

const CustomOp& interleave_cuda_op() {
  static const CustomOp op = described<OnCuda<float>>();
  return op;
}

const CustomOp& interleave_float16_cuda_op() {
  static const CustomOp op = described<OnCuda<Half>>();
  return op;
}

}  // namespace onnxplain::ort

#include "kernels/give_all_threads.hpp"
#include "ort_ops/cuda.hpp"
#include "ort_ops/give_all_op.hpp"
#include "ort_ops/give_all_shared.hpp"

namespace onnxplain::ort {
namespace {

template <class T>
class OnCuda : public GiveAll<T> {
 public:
  static constexpr const char* kProvider = kCuda;
  using GiveAll<T>::GiveAll;

  void compute(const Context& context) const {
    const auto all = this->tensors(context);
    const threads::GiveLaunch<T> launch{all.rows, all.relevance, all.given, all.to};
    require_success(cuda::give_all(launch, stream_of(context)), this->kName);
  }
};

}  // namespace

const CustomOp& give_all_cuda_op() {
  static const CustomOp op = described<OnCuda<float>>();
  return op;
}

const CustomOp& give_all_float16_cuda_op() {
  static const CustomOp op = described<OnCuda<Half>>();
  return op;
}

}  // namespace onnxplain::ort

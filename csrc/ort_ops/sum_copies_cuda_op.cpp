#include <cstddef>

#include "kernels/sum_threads.hpp"
#include "ort_ops/cuda.hpp"
#include "ort_ops/sum_copies_op.hpp"
#include "ort_ops/sum_copies_shared.hpp"

namespace onnxplain::ort {
namespace {

template <class T>
class OnCuda : public SumCopies<T> {
 public:
  static constexpr const char* kProvider = kCuda;
  static constexpr std::size_t kOnHost = 1;  // the lengths, by which the result's shape is known
  using SumCopies<T>::SumCopies;

  void compute(const Context& context) const {
    const auto all = this->tensors(context);
    if (all.copies.none()) {
      const std::size_t bytes = static_cast<std::size_t>(all.read) * sizeof(T);
      require_success(
          cudaMemcpyAsync(all.to, all.from, bytes, cudaMemcpyDeviceToDevice, stream_of(context)),
          this->kName);
      return;
    }
    require_success(
        cuda::sum_copies(threads::sum_launch(all.copies, all.from), all.to, stream_of(context)),
        this->kName);
  }
};

}  // namespace

const CustomOp& sum_copies_cuda_op() {
  static const CustomOp op = described<OnCuda<float>>();
  return op;
}

const CustomOp& sum_copies_float16_cuda_op() {
  static const CustomOp op = described<OnCuda<Half>>();
  return op;
}

}  // namespace onnxplain::ort

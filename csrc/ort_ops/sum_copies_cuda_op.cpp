#include <cstddef>

#include "kernels/sum_threads.hpp"
#include "ort_ops/cuda.hpp"
#include "ort_ops/sum_copies_op.hpp"
#include "ort_ops/sum_copies_shared.hpp"

namespace onnxplain::ort {
namespace {

class OnCuda : public SumCopies<float> {
 public:
  static constexpr const char* kProvider = kCuda;
  static constexpr std::size_t kOnHost = 1;  // the lengths, by which the result's shape is known
  using SumCopies<float>::SumCopies;

  void compute(const Context& context) const {
    const Tensors all = tensors(context);
    const cudaStream_t stream = stream_of(context);
    if (all.copies.none()) {
      const std::size_t bytes = static_cast<std::size_t>(all.read) * sizeof(float);
      require_success(cudaMemcpyAsync(all.to, all.from, bytes, cudaMemcpyDeviceToDevice, stream),
                      kName);
      return;
    }
    require_success(cuda::sum_copies(threads::sum_launch(all.copies, all.from), all.to, stream),
                    kName);
  }
};

}  // namespace

const CustomOp& sum_copies_cuda_op() {
  static const CustomOp op = described<OnCuda>();
  return op;
}

}  // namespace onnxplain::ort

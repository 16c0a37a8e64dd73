#include "kernels/interleave_threads.hpp"
#include "ort_ops/cuda.hpp"
#include "ort_ops/interleave_op.hpp"
#include "ort_ops/interleave_shared.hpp"

namespace onnxplain::ort {
namespace {

class OnCuda : public Interleave {
 public:
  static constexpr const char* kProvider = kCuda;
  using Interleave::Interleave;

  void compute(const Context& context) const {
    const TensorsOf<float> all = tensors(context);
    const threads::InterleaveLaunch launch =
        threads::interleave_launch(all.parts, strides[0], strides[1], all.result, all.out);
    require_success(cuda::interleave(launch, stream_of(context)), kName);
  }
};

}  // namespace

const CustomOp& interleave_cuda_op() {
  static const CustomOp op = described<OnCuda>();
  return op;
}

}  // namespace onnxplain::ort

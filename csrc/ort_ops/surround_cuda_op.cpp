#include "kernels/surround_threads.hpp"
#include "ort_ops/cuda.hpp"
#include "ort_ops/surround_op.hpp"
#include "ort_ops/surround_shared.hpp"

namespace onnxplain::ort {
namespace {

class OnCuda : public Surround {
 public:
  static constexpr const char* kProvider = kCuda;
  using Surround::Surround;

  void compute(const Context& context) const {
    const Tensors given = tensors(context);
    const auto launch = threads::surround_launch(given.all, given.patch, given.whole, given.at,
                                                 given.from, fill[0], given.out);
    require_success(cuda::surround(launch, stream_of(context)), kName);
  }
};

}  // namespace

const CustomOp& surround_cuda_op() {
  static const CustomOp op = described<OnCuda>();
  return op;
}

}  // namespace onnxplain::ort

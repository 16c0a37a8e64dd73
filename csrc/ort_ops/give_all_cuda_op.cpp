#include "kernels/give_all_threads.hpp"
#include "ort_ops/cuda.hpp"
#include "ort_ops/give_all_op.hpp"
#include "ort_ops/give_all_shared.hpp"

namespace onnxplain::ort {
namespace {

class OnCuda : public GiveAll<float> {
 public:
  static constexpr const char* kProvider = kCuda;
  using GiveAll<float>::GiveAll;

  void compute(const Context& context) const {
    const Tensors all = tensors(context);
    require_success(
        cuda::give_all({all.rows, all.relevance, all.given, all.to}, stream_of(context)), kName);
  }
};

}  // namespace

const CustomOp& give_all_cuda_op() {
  static const CustomOp op = described<OnCuda>();
  return op;
}

}  // namespace onnxplain::ort

#include "kernels/elementwise_threads.hpp"
#include "ort_ops/cuda.hpp"
#include "ort_ops/elementwise_op.hpp"
#include "ort_ops/elementwise_shared.hpp"

namespace onnxplain::ort {
namespace {

template <class T>
class OnCuda : public Elementwise<T> {
 public:
  static constexpr const char* kProvider = kCuda;

  explicit OnCuda(const Info& info)
      : program_(threads::program(program_of(info), static_cast<std::int64_t>(info.input_count()))),
        block_(info.integer("block", 1)) {}

  void compute(const Context& context) const {
    const Tensors<T> tensors = tensors_of<T>(context, block_);
    const auto launch = threads::launch(program_, tensors.operands, tensors.out, tensors.total);
    require_success(cuda::elementwise(launch, stream_of(context)), Elementwise<T>::kName);
  }

 private:
  threads::Program program_;
  std::int64_t block_;  // channels that lie together; 1: none
};

}  // namespace

const CustomOp& elementwise_cuda_op() {
  static const CustomOp op = described<OnCuda<float>>();
  return op;
}

const CustomOp& elementwise_float16_cuda_op() {
  static const CustomOp op = described<OnCuda<Half>>();
  return op;
}

}  // namespace onnxplain::ort

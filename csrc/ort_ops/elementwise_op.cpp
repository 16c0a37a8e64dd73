#include "ort_ops/elementwise_op.hpp"

#include "ort_ops/elementwise_shared.hpp"

namespace onnxplain::ort {
namespace {

template <class T>
class OnCpu : public Elementwise<T> {
 public:
  // Blocks of elements are read before they are written, and inputs that repeat are smaller.
  static constexpr std::size_t kMayReplace = 8;

  explicit OnCpu(const Info& info) : program_(program_of(info)), block_(info.integer("block", 1)) {}

  void compute(const Context& context) const {
    const Tensors<T> tensors = tensors_of<T>(context, block_);
    over_ranges(context, tensors.total, kTask, [&](std::int64_t begin, std::int64_t end) {
      cpu::Scratch scratch(program_, tensors.operands.size());
      cpu::run(program_, tensors.operands, tensors.out, begin, end, scratch);
    });
  }

 private:
  ElementwiseProgram program_;
  std::int64_t block_;  // channels that lie together; 1: none
};

}  // namespace

const CustomOp& elementwise_op() {
  static const CustomOp op = described<OnCpu<float>>();
  return op;
}

const CustomOp& elementwise_float16_op() {
  static const CustomOp op = described<OnCpu<Half>>();
  return op;
}

}  // namespace onnxplain::ort

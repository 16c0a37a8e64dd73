#include "ort_ops/elementwise_op.hpp"

#include "kernels/elementwise_cpu.hpp"
#include "ort_ops/elementwise_shared.hpp"

namespace onnxplain::ort {
namespace {

template <class T>
class OnCpu : public Elementwise<T> {
 public:
  // Blocks of elements are read before they are written, and inputs that repeat are smaller.
  static constexpr std::size_t kMayReplace = 8;

  explicit OnCpu(const Info& info)
      : loops_(program_of(info), static_cast<std::int64_t>(info.input_count())),
        block_(info.integer("block", 1)) {}

  void compute(const Context& context) const {
    const Tensors<T> tensors = tensors_of<T>(context, block_);
    over_ranges(context, tensors.total, kTask, [&](std::int64_t begin, std::int64_t end) {
      cpu::Scratch scratch(loops_);
      cpu::run(loops_, tensors.operands, tensors.out, begin, end, scratch);
    });
  }

 private:
  cpu::Loops loops_;
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

#include "ort_ops/sum_copies_op.hpp"

#include <algorithm>

#include "ort_ops/sum_copies_shared.hpp"

namespace onnxplain::ort {
namespace {

// Tasks that are enough for any number of threads; numbers in a long piece of memory, and in a
// piece that is too short to be read fast.
constexpr std::int64_t kTasks = 32;
constexpr std::int64_t kPiece = std::int64_t{1} << 18;
constexpr std::int64_t kShort = 512;

template <class T>
class OnCpu : public SumCopies<T> {
 public:
  using SumCopies<T>::SumCopies;

  void compute(const Context& context) const {
    const auto all = this->tensors(context);
    const Copies& found = all.copies;
    const std::int64_t each =
        all.read / std::max<std::int64_t>(found.total, 1);  // by one of the result
    // Enough for a task, and of numbers that lie one behind the other, so that memory is read in
    // long pieces, unless there are too few for several threads.
    const std::int64_t row = std::max<std::int64_t>(found.along(), 1);
    const std::int64_t grain =
        std::max(kTask / std::max<std::int64_t>(each, 1),
                 std::min(kPiece / row, std::max(found.total / kTasks, kShort / row)));
    over_ranges(context, found.total, grain, [&](std::int64_t begin, std::int64_t end) {
      cpu::sum_copies(found, all.from, begin, end, all.to);
    });
  }
};

}  // namespace

const CustomOp& sum_copies_op() {
  static const CustomOp op = described<OnCpu<float>>();
  return op;
}

const CustomOp& sum_copies_float16_op() {
  static const CustomOp op = described<OnCpu<Half>>();
  return op;
}

}  // namespace onnxplain::ort

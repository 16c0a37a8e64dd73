#include "ort_ops/sum_copies_op.hpp"

#include <algorithm>
#include <vector>

#include "kernels/sum_copies.hpp"
#include "onnxplain/check.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {
namespace {

// Tasks that are enough for any number of threads; numbers in a long piece of memory, and in a
// piece that is too short to be read fast.
constexpr std::int64_t kTasks = 32;
constexpr std::int64_t kPiece = std::int64_t{1} << 18;
constexpr std::int64_t kShort = 512;

template <class T>
class SumCopies {
 public:
  static constexpr const char* kName = named<T>("SumCopies", "SumCopiesFloat16");
  static constexpr ElementType kInputs[] = {kElement<T>, kInt64};
  static constexpr ElementType kOutput = kElement<T>;
  static constexpr std::size_t kRequiredInputs = 2;

  explicit SumCopies(const Info&) {}

  void compute(const Context& context) const {
    const Value* arrives = context.input(0);
    const Value* lengths = context.input(1);
    const std::vector<std::int64_t> wide = context.shape(arrives);
    const std::vector<std::int64_t> count = context.shape(lengths);
    require(count.size() == 1, "SumCopies: lengths must have one axis");
    const std::int64_t* own = context.ints(lengths);
    const Copies found = copies(wide, std::vector<std::int64_t>(own, own + count[0]));
    const T* from = context.elements<T>(arrives);
    T* to = context.output<T>(found.shape);
    std::int64_t read = 1;  // numbers in what arrives
    for (const std::int64_t length : wide) {
      read *= length;
    }
    const std::int64_t each =
        read / std::max<std::int64_t>(found.total, 1);  // by one of the result
    // Enough for a task, and of numbers that lie one behind the other, so that memory is read in
    // long pieces, unless there are too few for several threads.
    const std::int64_t row = std::max<std::int64_t>(found.along(), 1);
    const std::int64_t grain =
        std::max(kTask / std::max<std::int64_t>(each, 1),
                 std::min(kPiece / row, std::max(found.total / kTasks, kShort / row)));
    over_ranges(context, found.total, grain, [&](std::int64_t begin, std::int64_t end) {
      cpu::sum_copies(found, from, begin, end, to);
    });
  }
};

}  // namespace

const CustomOp& sum_copies_op() {
  static const CustomOp op = described<SumCopies<float>>();
  return op;
}

const CustomOp& sum_copies_float16_op() {
  static const CustomOp op = described<SumCopies<Half>>();
  return op;
}

}  // namespace onnxplain::ort

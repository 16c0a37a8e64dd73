#include "ort_ops/surround_op.hpp"

#include <algorithm>

#include "ort_ops/surround_shared.hpp"

namespace onnxplain::ort {
namespace {

class OnCpu : public Surround {
 public:
  using Surround::Surround;

  void compute(const Context& context) const {
    const Tensors given = tensors(context);
    over_ranges(context, given.all.planes(),
                std::max<std::int64_t>(1, kTask / std::max<std::int64_t>(1, given.all.size())),
                [&](std::int64_t begin, std::int64_t end) {
                  cpu::surround(given.all, given.patch, given.whole, given.at, given.from, fill[0],
                                begin, end, given.out);
                });
  }
};

}  // namespace

const CustomOp& surround_op() {
  static const CustomOp op = described<OnCpu>();
  return op;
}

}  // namespace onnxplain::ort

#include "ort_ops/max_pool_grad_op.hpp"

#include <algorithm>

#include "ort_ops/max_pool_grad_shared.hpp"

namespace onnxplain::ort {
namespace {

class OnCpu : public MaxPoolGrad {
 public:
  using MaxPoolGrad::MaxPoolGrad;

  void compute(const Context& context) const {
    const auto [in, out, x, y, g, dx] = tensors(context);
    const std::int64_t together = block == 1 ? cpu::planes_together(in) : 1;
    const std::int64_t tasks = (in.count + together - 1) / together;
    over_ranges(context, tasks, 1,
                [&, in = in, out = out, x = x, y = y, g = g, dx = dx](std::int64_t begin,
                                                                      std::int64_t end) {
                  cpu::PoolScratch scratch(in, out, together);
                  for (std::int64_t k = begin; k < end; ++k) {
                    const std::int64_t first = k * together;
                    cpu::max_pool_grad(axes[0], axes[1], in, out, x + first * in.size(),
                                       y + first * out.size(), g + first * out.size(),
                                       dx + first * in.size(), std::min(together, in.count - first),
                                       scratch);
                  }
                });
  }
};

}  // namespace

const CustomOp& max_pool_grad_op() {
  static const CustomOp op = described<OnCpu>();
  return op;
}

}  // namespace onnxplain::ort

#include "ort_ops/max_pool_grad_op.hpp"

#include <algorithm>

#include "ort_ops/max_pool_grad_shared.hpp"

namespace onnxplain::ort {
namespace {

template <class T>
class OnCpu : public MaxPoolGrad<T> {
 public:
  using MaxPoolGrad<T>::MaxPoolGrad;

  void compute(const Context& context) const {
    const auto [in, out, x, y, g, dx] = this->tensors(context);
    const std::int64_t together =
        this->block == 1 ? cpu::planes_together(this->axes[1], in, out) : 1;
    const std::int64_t tasks = (in.count + together - 1) / together;
    const std::int64_t numbers = std::max<std::int64_t>(1, in.size() * together);
    over_ranges(context, tasks, std::max<std::int64_t>(1, kTask / numbers),
                [&, in = in, out = out, x = x, y = y, g = g, dx = dx](std::int64_t begin,
                                                                      std::int64_t end) {
                  cpu::PoolScratch scratch(this->axes[0], this->axes[1], in, out, together,
                                           kIsHalf<T>);
                  for (std::int64_t k = begin; k < end; ++k) {
                    const std::int64_t first = k * together;
                    cpu::max_pool_grad(this->axes[0], this->axes[1], in, out, x + first * in.size(),
                                       y + first * out.size(), g + first * out.size(),
                                       dx + first * in.size(), std::min(together, in.count - first),
                                       scratch);
                  }
                });
  }
};

}  // namespace

const CustomOp& max_pool_grad_op() {
  static const CustomOp op = described<OnCpu<float>>();
  return op;
}

const CustomOp& max_pool_grad_float16_op() {
  static const CustomOp op = described<OnCpu<Half>>();
  return op;
}

}  // namespace onnxplain::ort

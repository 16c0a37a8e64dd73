#include "ort_ops/max_pool_grad_op.hpp"

#include <algorithm>

#include "ort_ops/max_pool_grad_shared.hpp"

namespace onnxplain::ort {
namespace {

template <class T>
class OnCpu : public MaxPoolGrad {
 public:
  static constexpr const char* kName = named<T>("MaxPoolGrad", "MaxPoolGradFloat16");
  static constexpr ElementType kInputs[] = {kElement<T>, kElement<T>, kElement<T>};
  static constexpr ElementType kOutput = kElement<T>;

  explicit OnCpu(const Info& info) : MaxPoolGrad(info) {
    require(block == 1 || !kIsHalf<T>, "MaxPoolGradFloat16: there are no blocks of float16");
  }

  void compute(const Context& context) const {
    const auto [in, out, x, y, g, dx] = tensors<T>(context);
    const std::int64_t together = block == 1 ? cpu::planes_together(in) : 1;
    const std::int64_t tasks = (in.count + together - 1) / together;
    over_ranges(context, tasks, 1,
                [&, in = in, out = out, x = x, y = y, g = g, dx = dx](std::int64_t begin,
                                                                      std::int64_t end) {
                  cpu::PoolScratch scratch(axes[0], in, out, together, kIsHalf<T>);
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
  static const CustomOp op = described<OnCpu<float>>();
  return op;
}

const CustomOp& max_pool_grad_float16_op() {
  static const CustomOp op = described<OnCpu<Half>>();
  return op;
}

}  // namespace onnxplain::ort

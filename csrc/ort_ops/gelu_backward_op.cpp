#include "ort_ops/gelu_backward_op.hpp"

#include <vector>

#include "kernels/gelu_backward.hpp"
#include "ort_ops/arriving.hpp"
#include "ort_ops/gelu_backward_shared.hpp"

namespace onnxplain::ort {
namespace {

template <class T>
class OnCpu : public GeluBackward<T> {
 public:
  using GeluBackward<T>::GeluBackward;

  void compute(const Context& context) const {
    const std::vector<std::int64_t> shape = context.shape(context.input(0));
    const Arriving<T> g(context, context.input(1), shape, this->kName);
    const T* x = context.elements<T>(context.input(0));
    T* dx = context.output<T>(shape);
    over_ranges(context, size_of(shape), kTask, [&](std::int64_t begin, std::int64_t end) {
      cpu::gelu_backward(this->factor, this->by_tanh, x + begin, g.data() + begin, end - begin,
                         dx + begin);
    });
  }
};

}  // namespace

const CustomOp& gelu_backward_op() {
  static const CustomOp op = described<OnCpu<float>>();
  return op;
}

const CustomOp& gelu_backward_float16_op() {
  static const CustomOp op = described<OnCpu<Half>>();
  return op;
}

}  // namespace onnxplain::ort

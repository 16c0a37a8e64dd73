#include "ort_ops/row_ops.hpp"

#include <vector>

#include "kernels/row_backward.hpp"
#include "ort_ops/arriving.hpp"
#include "ort_ops/row_shared.hpp"

namespace onnxplain::ort {
namespace {

template <class Body>
void over_rows(const Context& context, const Rows& rows, const Body& body) {
  if (rows.size > 0) {
    over_ranges(context, rows.count, (kTask + rows.size - 1) / rows.size, body);
  }
}

class SoftmaxOnCpu : public Softmax {
 public:
  using Softmax::Softmax;

  void compute(const Context& context) const {
    const Value* y = context.input(0);
    const std::vector<std::int64_t> shape = context.shape(y);
    const Rows rows = rows_of(shape, 1, kName);
    const float* values = context.floats(y);
    const Arriving g(context, context.input(1), shape, kName);
    float* dx = context.output(shape);
    over_rows(context, rows, [&](std::int64_t begin, std::int64_t end) {
      cpu::softmax_backward(values, g.data(), rows.size, begin, end, dx);
    });
  }
};

class NormOnCpu : public Norm {
 public:
  using Norm::Norm;

  void compute(const Context& context) const {
    const Value* x = context.input(0);
    const Value* scale = context.input_count() > 2 ? context.input(2) : nullptr;
    const std::vector<std::int64_t> shape = context.shape(x);
    const Rows rows = rows_of(shape, axes, kName);
    std::vector<float> same;  // one number for all
    const float* scales = scale == nullptr ? nullptr : context.floats(scale);
    if (scale != nullptr && is_one(context.shape(scale), rows)) {
      same.assign(static_cast<std::size_t>(rows.size), *scales);
      scales = same.data();
    }
    const float* values = context.floats(x);
    const Arriving g(context, context.input(1), shape, kName);
    float* dx = context.output(shape);
    over_rows(context, rows, [&](std::int64_t begin, std::int64_t end) {
      cpu::norm_backward(norm, values, g.data(), scales, rows.size, begin, end, dx);
    });
  }
};

}  // namespace

const CustomOp& softmax_backward_op() {
  static const CustomOp op = described<SoftmaxOnCpu>();
  return op;
}

const CustomOp& norm_backward_op() {
  static const CustomOp op = described<NormOnCpu>();
  return op;
}

}  // namespace onnxplain::ort

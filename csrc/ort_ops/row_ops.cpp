#include "ort_ops/row_ops.hpp"

#include <algorithm>
#include <cstddef>
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

template <class T>
class SoftmaxOnCpu : public Softmax<T> {
 public:
  using Softmax<T>::Softmax;

  void compute(const Context& context) const {
    const Value* y = context.input(0);
    const std::vector<std::int64_t> shape = context.shape(y);
    const Rows rows = rows_of(shape, 1, this->kName);
    const T* values = context.elements<T>(y);
    const Arriving<T> g(context, context.input(1), shape, this->kName);
    T* dx = context.output<T>(shape);
    over_rows(context, rows, [&](std::int64_t begin, std::int64_t end) {
      cpu::softmax_backward(values, g.data(), rows.size, begin, end, dx);
    });
  }
};

template <class T>
class NormOnCpu : public Norm<T> {
 public:
  using Norm<T>::Norm;

  void compute(const Context& context) const {
    const Value* x = context.input(0);
    const Value* scale = context.input_count() > 2 ? context.input(2) : nullptr;
    const std::vector<std::int64_t> shape = context.shape(x);
    const Rows rows = rows_of(shape, this->axes, this->kName);
    std::vector<float> held;
    const float* scales = scale == nullptr ? nullptr : scales_of(context, scale, rows, held);
    const T* values = context.elements<T>(x);
    const Arriving<T> g(context, context.input(1), shape, this->kName);
    T* dx = context.output<T>(shape);
    over_rows(context, rows, [&](std::int64_t begin, std::int64_t end) {
      cpu::norm_backward(this->norm, values, g.data(), scales, rows.size, begin, end, dx);
    });
  }

 private:
  // One number for each element of a row; `held` takes them where they do not lie there like that.
  static const float* scales_of(const Context& context, const Value* scale, const Rows& rows,
                                std::vector<float>& held) {
    const T* given = context.elements<T>(scale);
    const bool one = Norm<T>::is_one(context.shape(scale), rows);
    if constexpr (!kIsHalf<T>) {
      if (!one) {
        return given;
      }
    }
    held.resize(static_cast<std::size_t>(rows.size));
    if (one) {
      std::fill(held.begin(), held.end(), to_float(*given));
    } else {
      cpu::widen(given, rows.size, held.data());
    }
    return held.data();
  }
};

}  // namespace

const CustomOp& softmax_backward_op() {
  static const CustomOp op = described<SoftmaxOnCpu<float>>();
  return op;
}

const CustomOp& norm_backward_op() {
  static const CustomOp op = described<NormOnCpu<float>>();
  return op;
}

const CustomOp& softmax_backward_float16_op() {
  static const CustomOp op = described<SoftmaxOnCpu<Half>>();
  return op;
}

const CustomOp& norm_backward_float16_op() {
  static const CustomOp op = described<NormOnCpu<Half>>();
  return op;
}

}  // namespace onnxplain::ort

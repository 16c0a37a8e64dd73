#include "ort_ops/row_ops.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/row_backward.hpp"
#include "onnxplain/check.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {
namespace {

struct Rows {
  std::int64_t count = 1;
  std::int64_t size = 1;
};

Rows rows_of(const std::vector<std::int64_t>& shape, std::size_t axes, const char* name) {
  require(axes <= shape.size(), std::string(name) + ": there are " + std::to_string(shape.size()) +
                                    " axes, and a row has " + std::to_string(axes));
  Rows rows;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    (k + axes < shape.size() ? rows.count : rows.size) *= shape[k];
  }
  return rows;
}

// What arrives, in the shape of the values; it is repeated where it has axes of length 1, or fewer
// axes.
class Arriving {
 public:
  Arriving(const Context& context, const Value* g, const std::vector<std::int64_t>& shape,
           const char* name)
      : data_(context.floats(g)) {
    const std::vector<std::int64_t> own = context.shape(g);
    if (own == shape) {
      return;
    }
    const std::size_t ahead = shape.size() - std::min(own.size(), shape.size());
    bool fits = own.size() <= shape.size();
    std::int64_t total = 1;
    for (std::size_t k = 0; k < shape.size(); ++k) {
      fits = fits && (k < ahead || own[k - ahead] == 1 || own[k - ahead] == shape[k]);
      total *= shape[k];
    }
    require(fits, std::string(name) + ": the gradient has no shape that fits the values");
    expanded_.resize(static_cast<std::size_t>(total));
    for (std::int64_t place = 0; place < total; ++place) {
      std::int64_t rest = place;
      std::int64_t offset = 0;
      std::int64_t stride = 1;
      for (std::size_t k = shape.size(); k-- > ahead;) {
        offset += own[k - ahead] == 1 ? 0 : rest % shape[k] * stride;
        rest /= shape[k];
        stride *= own[k - ahead];
      }
      expanded_[static_cast<std::size_t>(place)] = data_[offset];
    }
    data_ = expanded_.data();
  }
  Arriving(const Arriving&) = delete;
  Arriving& operator=(const Arriving&) = delete;

  const float* data() const { return data_; }

 private:
  const float* data_;
  std::vector<float> expanded_;
};

template <class Body>
void over_rows(const Context& context, const Rows& rows, const Body& body) {
  if (rows.size > 0) {
    over_ranges(context, rows.count, (kTask + rows.size - 1) / rows.size, body);
  }
}

class SoftmaxBackward {
 public:
  static constexpr const char* kName = "SoftmaxBackward";
  static constexpr ElementType kInputs[] = {kFloat, kFloat};
  static constexpr std::size_t kRequiredInputs = 2;

  explicit SoftmaxBackward(const Info&) {}

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

class NormBackward {
 public:
  static constexpr const char* kName = "NormBackward";
  static constexpr ElementType kInputs[] = {kFloat, kFloat, kFloat};
  static constexpr std::size_t kRequiredInputs = 2;

  explicit NormBackward(const Info& info) {
    const std::vector<std::int64_t> axes = info.ints("axes");
    const std::vector<std::int64_t> centred = info.ints("centred");
    const std::vector<std::int64_t> constant = info.ints("constant");
    const std::vector<float> epsilon = info.floats("epsilon");
    require(axes.size() == 1 && axes[0] >= 1, "NormBackward: axes must be one positive number");
    require(centred.size() == 1 && constant.size() == 1 && epsilon.size() == 1,
            "NormBackward: centred, constant and epsilon must be one number each");
    axes_ = static_cast<std::size_t>(axes[0]);
    norm_ = {centred[0] != 0, constant[0] != 0, epsilon[0]};
  }

  void compute(const Context& context) const {
    const Value* x = context.input(0);
    const Value* scale = context.input_count() > 2 ? context.input(2) : nullptr;
    const std::vector<std::int64_t> shape = context.shape(x);
    const Rows rows = rows_of(shape, axes_, kName);
    std::vector<float> same;  // one number for all
    const float* scales = nullptr;
    if (scale != nullptr) {
      std::int64_t count = 1;
      for (const std::int64_t length : context.shape(scale)) {
        count *= length;
      }
      require(count == 1 || count == rows.size, "NormBackward: the scale has " +
                                                    std::to_string(count) + " numbers, and a row " +
                                                    std::to_string(rows.size));
      scales = context.floats(scale);
      if (count != rows.size) {
        same.assign(static_cast<std::size_t>(rows.size), *scales);
        scales = same.data();
      }
    }
    const float* values = context.floats(x);
    const Arriving g(context, context.input(1), shape, kName);
    float* dx = context.output(shape);
    over_rows(context, rows, [&](std::int64_t begin, std::int64_t end) {
      cpu::norm_backward(norm_, values, g.data(), scales, rows.size, begin, end, dx);
    });
  }

 private:
  std::size_t axes_ = 1;
  Normalisation norm_{};
};

}  // namespace

const CustomOp& softmax_backward_op() {
  static const CustomOp op = described<SoftmaxBackward>();
  return op;
}

const CustomOp& norm_backward_op() {
  static const CustomOp op = described<NormBackward>();
  return op;
}

}  // namespace onnxplain::ort

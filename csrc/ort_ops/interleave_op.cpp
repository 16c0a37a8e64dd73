#include "ort_ops/interleave_op.hpp"

#include <algorithm>

#include "kernels/interleave.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {
namespace {

// Attributes: strides; begins, two numbers for each input; ends, how many rows and columns the
// result has behind the last ones of the first input.
class Interleave {
 public:
  static constexpr const char* kName = "Interleave";
  static constexpr ElementType kInputs[] = {kFloat};
  static constexpr bool kIsVariadic = true;

  explicit Interleave(const Info& info)
      : strides_(info.ints("strides")),
        begins_(info.ints("begins")),
        ends_(info.ints("ends")),
        block_(info.integer("block", 1)) {
    require(strides_.size() == 2 && strides_[0] >= 1 && strides_[1] >= 1,
            "Interleave: strides must be two numbers, at least 1");
    require(begins_.size() == 2 * info.input_count(), "Interleave: begins must be two per input");
    require(ends_.size() == 2 && ends_[0] >= 0 && ends_[1] >= 0,
            "Interleave: ends must be two numbers, at least 0");
  }

  void compute(const Context& context) const {
    std::vector<Part> parts;
    std::vector<std::int64_t> shape;
    for (std::size_t k = 0; k < context.input_count(); ++k) {
      const Value* value = context.input(k);
      const std::vector<std::int64_t> own = context.shape(value);
      require(own.size() == 4 && (k == 0 || (own[0] == shape[0] && own[1] == shape[1])),
              "Interleave: parts must have four axes, and the same samples and channels");
      if (k == 0) {
        shape = {own[0], own[1], length(own[2], 0), length(own[3], 1)};
      }
      parts.push_back({context.floats(value), own[2], own[3], begins_[2 * k], begins_[2 * k + 1]});
    }
    const Planes result = planes(shape, block_);
    check_parts(parts, strides_[0], strides_[1]);
    float* out = context.output(shape);
    over_ranges(context, result.count,
                std::max<std::int64_t>(1, kTask / std::max<std::int64_t>(1, result.size())),
                [&](std::int64_t begin, std::int64_t end) {
                  for (std::int64_t k = begin; k < end; ++k) {
                    cpu::interleave(parts, strides_[0], strides_[1], result, k, out);
                  }
                });
  }

 private:
  std::int64_t length(std::int64_t places, std::size_t axis) const {
    return begins_[axis] + (places == 0 ? 0 : (places - 1) * strides_[axis] + 1) + ends_[axis];
  }

  std::vector<std::int64_t> strides_;
  std::vector<std::int64_t> begins_;
  std::vector<std::int64_t> ends_;
  std::int64_t block_;
};

}  // namespace

const CustomOp& interleave_op() {
  static const CustomOp op = described<Interleave>();
  return op;
}

}  // namespace onnxplain::ort

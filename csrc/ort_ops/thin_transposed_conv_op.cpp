#include "ort_ops/thin_transposed_conv_op.hpp"

#include <algorithm>

#include "kernels/thin_transposed_conv.hpp"
#include "onnxplain/check.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {
namespace {

// Inputs: a value (N, M, H, W) and a weight (M, C, k, l), with C at most kThinChannels. Attributes:
// strides; begins and ends, the pads; more, the rows and columns that the result has besides.
class ThinConvTranspose {
 public:
  static constexpr const char* kName = "ThinConvTranspose";
  static constexpr ElementType kInputs[] = {kFloat, kFloat};
  static constexpr std::size_t kRequiredInputs = 2;

  explicit ThinConvTranspose(const Info& info)
      : strides_(info.ints("strides")),
        begins_(info.ints("begins")),
        ends_(info.ints("ends")),
        more_(info.ints("more")) {
    for (const auto* each : {&strides_, &begins_, &ends_, &more_}) {
      require(each->size() == 2 && (*each)[0] >= 0 && (*each)[1] >= 0,
              "ThinConvTranspose: strides, begins, ends and more must be two numbers, at least 0");
    }
    require(strides_[0] >= 1 && strides_[1] >= 1, "ThinConvTranspose: strides are at least 1");
  }

  void compute(const Context& context) const {
    const std::vector<std::int64_t> shape = context.shape(context.input(0));
    const std::vector<std::int64_t> kernel = context.shape(context.input(1));
    require(shape.size() == 4 && kernel.size() == 4 && shape[1] == kernel[0],
            "ThinConvTranspose: value and weight must have four axes, and the same channels");
    require(
        kernel[1] >= 1 && kernel[1] <= kThinChannels && kernel[2] >= 1 && kernel[3] >= 1,
        "ThinConvTranspose: the result has one to four channels, the kernel at least one place");
    require(shape[2] >= 1 && shape[3] >= 1, "ThinConvTranspose: the value has no places");
    const ThinConv conv{shape[1], kernel[1], axis(0, kernel[2], shape[2]),
                        axis(1, kernel[3], shape[3])};
    require(conv.down.to >= 0 && conv.across.to >= 0,
            "ThinConvTranspose: there are more pads than places");
    const float* g = context.floats(context.input(0));
    float* out = context.output({shape[0], conv.few, conv.down.to, conv.across.to});
    if (conv.down.to == 0 || conv.across.to == 0) {
      return;
    }
    const std::vector<float> weight = cpu::thin_weight(conv, context.floats(context.input(1)));
    const std::int64_t parts = (conv.down.to + kRows - 1) / kRows;
    over_ranges(context, shape[0] * parts, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> scratch;
      for (std::int64_t k = begin; k < end; ++k) {
        const std::int64_t sample = k / parts;
        const std::int64_t row = k % parts * kRows;
        cpu::thin_rows(conv, weight, g + sample * conv.channels * conv.down.from * conv.across.from,
                       out + sample * conv.few * conv.down.to * conv.across.to, row,
                       std::min(row + kRows, conv.down.to), scratch);
      }
    });
  }

 private:
  static constexpr std::int64_t kRows = 16;  // of a task, which copies what they need

  ThinAxis axis(std::size_t k, std::int64_t kernel, std::int64_t from) const {
    const std::int64_t to = (from - 1) * strides_[k] - begins_[k] - ends_[k] + kernel + more_[k];
    return {kernel, strides_[k], begins_[k], from, to};
  }

  std::vector<std::int64_t> strides_;
  std::vector<std::int64_t> begins_;
  std::vector<std::int64_t> ends_;
  std::vector<std::int64_t> more_;
};

}  // namespace

const CustomOp& thin_transposed_conv_op() {
  static const CustomOp op = described<ThinConvTranspose>();
  return op;
}

}  // namespace onnxplain::ort

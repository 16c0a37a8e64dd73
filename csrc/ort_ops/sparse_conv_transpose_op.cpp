#include "ort_ops/sparse_conv_transpose_op.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/planes.hpp"
#include "kernels/sparse_conv_transpose.hpp"
#include "onnxplain/check.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {
namespace {

// Inputs: what is mostly zeros, (N, O, H, W); weights, (groups, O, row) as the kernel takes them.
// Attributes: those of SparseConvTranspose; block, channels that lie together in the first input,
// and block_out, in the result.
class SparseConv {
 public:
  static constexpr const char* kName = "SparseConvTranspose";
  static constexpr ElementType kInputs[] = {kFloat, kFloat};
  static constexpr std::size_t kRequiredInputs = 2;

  explicit SparseConv(const Info& info)
      : block_(info.integer("block", 1)), block_out_(info.integer("block_out", 1)) {
    conv_.channels = info.integer("channels", 0);
    pair(info, "kernel_shape", conv_.kernel);
    pair(info, "strides", conv_.stride);
    pair(info, "begins", conv_.begin);
    pair(info, "ends", conv_.end);
    onnxplain::check(conv_);
    require(block_out_ >= 1 && conv_.channels % block_out_ == 0,
            "SparseConvTranspose: channels do not fill their blocks");
  }

  void compute(const Context& context) const {
    const Value* values[] = {context.input(0), context.input(1)};
    const std::vector<std::int64_t> shape = context.shape(values[0]);
    planes(shape, block_);
    const std::int64_t given = shape[1];
    require(
        context.shape(values[1]) == std::vector<std::int64_t>{conv_.groups(), given, conv_.row()},
        "SparseConvTranspose: weights do not have the shape that the attributes say");
    require(shape[2] >= 1 && shape[3] >= 1, "SparseConvTranspose: there are no places");
    const std::int64_t height = conv_.length(shape[2], 0);
    const std::int64_t width = conv_.length(shape[3], 1);
    require(height >= 0 && width >= 0, "SparseConvTranspose: pads are larger than the result");
    const float* g = context.floats(values[0]);
    const float* weight = context.floats(values[1]);
    float* out = context.output({shape[0], conv_.channels, height, width});
    const std::int64_t rows = std::max<std::int64_t>(1, std::min(height, kRows));
    const std::int64_t tiles = (height + rows - 1) / rows;
    over_ranges(context, width == 0 ? 0 : shape[0] * conv_.groups() * tiles, 1,
                [&](std::int64_t begin, std::int64_t end) {
                  const auto sample = [&](std::int64_t n) {
                    return cpu::Sample<const float>{g + n * given * shape[2] * shape[3], given,
                                                    shape[2], shape[3], block_};
                  };
                  cpu::SparseScratch scratch(conv_, sample(0), width, rows);
                  for (std::int64_t k = begin; k < end; ++k) {
                    const std::int64_t n = k / tiles / conv_.groups();
                    const std::int64_t group = k / tiles % conv_.groups();
                    const std::int64_t first = k % tiles * rows;
                    const cpu::Sample<float> result{out + n * conv_.channels * height * width,
                                                    conv_.channels, height, width, block_out_};
                    cpu::sparse_conv_transpose(conv_, sample(n),
                                               weight + group * given * conv_.row(), group, first,
                                               std::min(first + rows, height), result, scratch);
                  }
                });
  }

 private:
  // Rows of the result that one task makes.
  static constexpr std::int64_t kRows = 32;

  static void pair(const Info& info, const char* name, std::int64_t (&to)[2]) {
    const std::vector<std::int64_t> found = info.ints(name);
    require(found.size() == 2,
            std::string("SparseConvTranspose: ") + name + " must be two numbers");
    std::copy(found.begin(), found.end(), to);
  }

  SparseConvTranspose conv_{};
  std::int64_t block_;
  std::int64_t block_out_;
};

}  // namespace

const CustomOp& sparse_conv_transpose_op() {
  static const CustomOp op = described<SparseConv>();
  return op;
}

}  // namespace onnxplain::ort

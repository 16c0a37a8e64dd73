#include "ort_ops/winograd_op.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/planes.hpp"
#include "kernels/winograd.hpp"
#include "onnxplain/aligned.hpp"
#include "onnxplain/check.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {
namespace {

// Inputs: a value (N, C, H, W) and kernels, in blocks as winograd.hpp says. Attributes: channels,
// those of the result; begins and ends, the pads; block, channels that lie together in the first
// input, and block_out, in the result.
class WinogradConvolution {
 public:
  static constexpr const char* kName = "WinogradConv";
  static constexpr ElementType kInputs[] = {kFloat, kFloat};
  static constexpr std::size_t kRequiredInputs = 2;

  explicit WinogradConvolution(const Info& info)
      : channels_(info.integer("channels", 0)),
        begins_(info.ints("begins")),
        ends_(info.ints("ends")),
        block_(info.integer("block", 1)),
        block_out_(info.integer("block_out", 1)) {
    for (const auto* each : {&begins_, &ends_}) {
      require(each->size() == 2 && (*each)[0] >= 0 && (*each)[1] >= 0,
              "WinogradConv: begins and ends must be two numbers, at least 0");
    }
    require(channels_ >= kWinogradBlock && channels_ % kWinogradBlock == 0,
            "WinogradConv: channels must be a multiple of 16");
    require(block_out_ >= 1 && channels_ % block_out_ == 0,
            "WinogradConv: channels do not fill their blocks");
  }

  void compute(const Context& context) const {
    const std::vector<std::int64_t> shape = context.shape(context.input(0));
    planes(shape, block_);
    const std::int64_t given = shape[1];
    require(given >= kWinogradBlock && given % kWinogradBlock == 0,
            "WinogradConv: the value's channels must be a multiple of 16");
    require(context.shape(context.input(1)) == std::vector<std::int64_t>{channels_ / kWinogradBlock,
                                                                         given, kWinogradKernel,
                                                                         kWinogradBlock},
            "WinogradConv: kernels do not have the shape that channels say");
    const WinogradConv conv{
        given, channels_, {begins_[0], begins_[1]}, {length(shape[2], 0), length(shape[3], 1)}};
    require(conv.to[0] >= 0 && conv.to[1] >= 0, "WinogradConv: the value is smaller than a kernel");
    const float* from = context.floats(context.input(0));
    const float* kernel = context.floats(context.input(1));
    float* out = context.output({shape[0], channels_, conv.to[0], conv.to[1]});
    const std::int64_t total = shape[0] * conv.tiles(0);
    if (total == 0 || conv.to[1] == 0) {
      return;
    }
    const cpu::WinogradData data{from, shape[2], shape[3], block_, kernel, out, block_out_};
    const std::int64_t parts =
        std::clamp<std::int64_t>((total * conv.tiles(1) + kTiles / 2) / kTiles, 1, total);
    const std::int64_t most = (total + parts - 1) / parts;
    // Where there is one such part, threads share the channels.
    const std::int64_t width = parts == 1 && channels_ > kWide ? kWide : channels_;
    const std::int64_t cuts = (channels_ + width - 1) / width;
    over_ranges(context, (total + most - 1) / most * cuts, 1,
                [&](std::int64_t begin, std::int64_t end) {
                  const auto scratch = aligned<float>(cpu::winograd_scratch(conv, shape[3], most));
                  for (std::int64_t k = begin; k < end; ++k) {
                    const std::int64_t row = k / cuts * most;
                    const std::int64_t first = k % cuts * width;
                    cpu::winograd_rows(conv, data, row, std::min(row + most, total), first,
                                       std::min(first + width, channels_), scratch.get());
                  }
                });
  }

 private:
  // Tiles of a task, about: what is made of them stays in a core's cache.
  static constexpr std::int64_t kTiles = 32;
  // Channels of the result in a task of few tiles.
  static constexpr std::int64_t kWide = 128;

  std::int64_t length(std::int64_t given, std::size_t axis) const {
    return given + begins_[axis] + ends_[axis] - 2;
  }

  std::int64_t channels_;
  std::vector<std::int64_t> begins_;
  std::vector<std::int64_t> ends_;
  std::int64_t block_;
  std::int64_t block_out_;
};

}  // namespace

const CustomOp& winograd_conv_op() {
  static const CustomOp op = described<WinogradConvolution>();
  return op;
}

}  // namespace onnxplain::ort

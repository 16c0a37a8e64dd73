// Transposed convolution over two axes to few channels, as the walk back through a first layer with
// strides: every s-th row and column of the result is a plain convolution with a part of the
// kernel, whose sums stay in registers. onnxruntime multiplies matrices, and adds up by one thread.
#pragma once

#include <cstdint>
#include <vector>

namespace onnxplain {

// One axis: the kernel's length, its stride, the pad before, and places of the input and the
// result.
struct ThinAxis {
  std::int64_t kernel;
  std::int64_t stride;
  std::int64_t begin;
  std::int64_t from;
  std::int64_t to;
};

inline constexpr std::int64_t kThinChannels = 4;

struct ThinConv {
  std::int64_t channels;  // of the input
  std::int64_t few;       // of the result, at most kThinChannels
  ThinAxis down;
  ThinAxis across;
};

namespace cpu {

// A weight of shape (channels, few, kernel, kernel) as the loops read it.
std::vector<float> thin_weight(const ThinConv& conv, const float* weight);

// Makes rows [begin, end) of the result of a sample, (few, rows, columns), from (channels, rows,
// columns); `scratch` is memory that it may keep.
void thin_rows(const ThinConv& conv, const std::vector<float>& weight, const float* g, float* out,
               std::int64_t begin, std::int64_t end, std::vector<float>& scratch);

}  // namespace cpu
}  // namespace onnxplain

#include "kernels/interleave.hpp"

#include <algorithm>

namespace onnxplain {

void check_parts(const std::vector<Part>& parts, std::int64_t down, std::int64_t across) {
  require(down >= 1 && across >= 1, "Interleave: strides are at least 1");
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const Part& part = parts[k];
    require(part.row >= 0 && part.row < down && part.column >= 0 && part.column < across,
            "Interleave: a part begins outside of the first stride");
    for (std::size_t j = 0; j < k; ++j) {
      require(parts[j].row != part.row || parts[j].column != part.column,
              "Interleave: two parts begin at the same place");
    }
  }
}

namespace cpu {
namespace {

// How many of `there` places, `stride` apart from `begin` on, lie before `end`.
std::int64_t within(std::int64_t there, std::int64_t begin, std::int64_t stride, std::int64_t end) {
  return std::min(there, begin >= end ? 0 : (end - begin - 1) / stride + 1);
}

// Copies a row's numbers, `lanes` of which lie together, `across` places apart.
template <int kLanes>
void spread(const float* from, std::int64_t places, std::int64_t across, float* to) {
  for (std::int64_t j = 0; j < places; ++j) {
    for (int l = 0; l < kLanes; ++l) {
      to[j * across * kLanes + l] = from[j * kLanes + l];
    }
  }
}

void spread(std::int64_t lanes, const float* from, std::int64_t places, std::int64_t across,
            float* to) {
  switch (lanes) {
    case 16:
      return spread<16>(from, places, across, to);
    case 8:
      return spread<8>(from, places, across, to);
    case 4:
      return spread<4>(from, places, across, to);
    default:
      require(lanes == 1, "Interleave: blocks have 1, 4, 8 or 16 channels");
      return spread<1>(from, places, across, to);
  }
}

}  // namespace

void interleave(const std::vector<Part>& parts, std::int64_t down, std::int64_t across,
                const Planes& result, std::int64_t which, float* out) {
  std::int64_t covered = 0;
  for (const Part& part : parts) {
    covered += within(part.height, part.row, down, result.height) *
               within(part.width, part.column, across, result.width);
  }
  float* to = out + which * result.size();
  if (covered != result.height * result.width) {
    std::fill_n(to, result.size(), 0.0f);
  }
  for (const Part& part : parts) {
    const std::int64_t row = part.width * result.block;
    const std::int64_t rows = within(part.height, part.row, down, result.height);
    const std::int64_t places = within(part.width, part.column, across, result.width);
    const float* from = part.data + which * part.height * row;
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t at = (part.row + i * down) * result.width + part.column;
      spread(result.block, from + i * row, places, across, to + at * result.block);
    }
  }
}

}  // namespace cpu
}  // namespace onnxplain

#include "kernels/interleave.hpp"

#include <algorithm>

namespace onnxplain {

template <class T>
void check_parts(const std::vector<PartOf<T>>& parts, std::int64_t down, std::int64_t across) {
  require(down >= 1 && across >= 1, "Interleave: strides are at least 1");
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const PartOf<T>& part = parts[k];
    require(part.row >= 0 && part.row < down && part.column >= 0 && part.column < across,
            "Interleave: a part begins outside of the first stride");
    for (std::size_t j = 0; j < k; ++j) {
      require(parts[j].row != part.row || parts[j].column != part.column,
              "Interleave: two parts begin at the same place");
    }
  }
}

template void check_parts(const std::vector<PartOf<float>>&, std::int64_t, std::int64_t);
template void check_parts(const std::vector<PartOf<Half>>&, std::int64_t, std::int64_t);

namespace cpu {
namespace {

// How many of `there` places, `stride` apart from `begin` on, lie before `end`.
std::int64_t within(std::int64_t there, std::int64_t begin, std::int64_t stride, std::int64_t end) {
  return std::min(there, begin >= end ? 0 : (end - begin - 1) / stride + 1);
}

// Copies a row's numbers, `lanes` of which lie together, `across` places apart.
template <int kLanes, class T>
void spread(const T* from, std::int64_t places, std::int64_t across, T* to) {
  for (std::int64_t j = 0; j < places; ++j) {
    for (int l = 0; l < kLanes; ++l) {
      to[j * across * kLanes + l] = from[j * kLanes + l];
    }
  }
}

template <class T>
void spread(std::int64_t lanes, const T* from, std::int64_t places, std::int64_t across, T* to) {
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

template <class T>
void interleave(const std::vector<PartOf<T>>& parts, std::int64_t down, std::int64_t across,
                const Planes& result, std::int64_t which, T* out) {
  std::int64_t covered = 0;
  for (const PartOf<T>& part : parts) {
    covered += within(part.height, part.row, down, result.height) *
               within(part.width, part.column, across, result.width);
  }
  T* to = out + which * result.size();
  if (covered != result.height * result.width) {
    std::fill_n(to, result.size(), T{});
  }
  for (const PartOf<T>& part : parts) {
    const std::int64_t row = part.width * result.block;
    const std::int64_t rows = within(part.height, part.row, down, result.height);
    const std::int64_t places = within(part.width, part.column, across, result.width);
    const T* from = part.data + which * part.height * row;
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t at = (part.row + i * down) * result.width + part.column;
      spread(result.block, from + i * row, places, across, to + at * result.block);
    }
  }
}

template void interleave(const std::vector<PartOf<float>>&, std::int64_t, std::int64_t,
                         const Planes&, std::int64_t, float*);
template void interleave(const std::vector<PartOf<Half>>&, std::int64_t, std::int64_t,
                         const Planes&, std::int64_t, Half*);

}  // namespace cpu
}  // namespace onnxplain

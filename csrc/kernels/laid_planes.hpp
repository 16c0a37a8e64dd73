// Channels of a sample that lie together at each place: where they do so in memory, or in a copy.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/planes.hpp"

namespace onnxplain::cpu {

// Some channels of a sample, next to each other at each place, from a row on.
template <class T>
struct Plane {
  T* data;
  std::int64_t first;  // the row that data begins with
  std::int64_t rows;   // all of them
  std::int64_t columns;
  std::int64_t pitch;  // numbers from a place to the next

  bool has(std::int64_t row, std::int64_t column) const {
    return row >= 0 && row < rows && column >= 0 && column < columns;
  }
  T* at(std::int64_t row, std::int64_t column) const {
    return data + ((row - first) * columns + column) * pitch;
  }
};

// Rows [begin, end) of so many channels, where they lie together in memory; else a copy.
template <int kLanes>
Plane<const float> lay(const Sample<const float>& from, std::int64_t channel, std::int64_t begin,
                       std::int64_t end, float* copy) {
  if (from.block % kLanes == 0) {
    return {from.at(channel, 0), 0, from.height, from.width, from.block};
  }
  begin = std::clamp<std::int64_t>(begin, 0, from.height);
  for (int k = 0; k < kLanes; ++k) {
    for (std::int64_t y = begin; y < std::min(end, from.height); ++y) {
      const float* row = from.at(channel + k, y);
      float* to = copy + (y - begin) * from.width * kLanes + k;
      for (std::int64_t x = 0; x < from.width; ++x) {
        to[x * kLanes] = row[x * from.block];
      }
    }
  }
  return {copy, begin, from.height, from.width, kLanes};
}

// Where such rows are to be written, and how they get from there to their place.
template <int kLanes>
Plane<float> place_of(const Sample<float>& to, std::int64_t channel, std::int64_t begin,
                      float* copy) {
  if (to.block % kLanes == 0) {
    return {to.at(channel, 0), 0, to.height, to.width, to.block};
  }
  return {copy, begin, to.height, to.width, kLanes};
}

template <int kLanes>
void lay_back(const Sample<float>& to, std::int64_t channel, std::int64_t begin, std::int64_t end,
              const float* copy) {
  if (to.block % kLanes == 0) {
    return;
  }
  for (int k = 0; k < kLanes; ++k) {
    for (std::int64_t y = begin; y < std::min(end, to.height); ++y) {
      const float* from = copy + (y - begin) * to.width * kLanes + k;
      float* row = to.at(channel + k, y);
      for (std::int64_t x = 0; x < to.width; ++x) {
        row[x * to.block] = from[x * kLanes];
      }
    }
  }
}

}  // namespace onnxplain::cpu

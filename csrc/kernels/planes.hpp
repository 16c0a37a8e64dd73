// Values of shape (N, C, H, W) whose channels may lie in blocks, as onnxruntime's convolutions have
// them on the CPU: (N, C / b, H, W, b) in memory. With b = 1 that is the usual order.
#pragma once

#include <cstdint>
#include <vector>

#include "onnxplain/check.hpp"
#include "onnxplain/tensor_view.hpp"

namespace onnxplain {

// A value's planes: one for each sample and block of channels.
struct Planes {
  std::int64_t count;
  std::int64_t height;
  std::int64_t width;
  std::int64_t block;

  ONNXPLAIN_HOST_DEVICE std::int64_t size() const {  // numbers in a plane
    return height * width * block;
  }
};

// Where a number lies in planes, by its place in memory, and one after the other.
template <class Index>
struct Place {
  Index lanes, columns, rows;
  Index lane, column, row, plane;

  ONNXPLAIN_HOST_DEVICE Place(const Planes& planes, Index number)
      : lanes(static_cast<Index>(planes.block)),
        columns(static_cast<Index>(planes.width)),
        rows(static_cast<Index>(planes.height)) {
    const Index place = lanes == 1 ? number : number / lanes;
    const Index line = place / columns;
    lane = number - place * lanes;
    column = place - line * columns;
    plane = line / rows;
    row = line - plane * rows;
  }
  ONNXPLAIN_HOST_DEVICE void next() {
    if (++lane == lanes) {
      lane = 0;
      if (++column == columns) {
        column = 0;
        if (++row == rows) {
          row = 0;
          ++plane;
        }
      }
    }
  }
};

// Throws std::invalid_argument where the shape has no such planes.
inline Planes planes(const std::vector<std::int64_t>& shape, std::int64_t block) {
  require(shape.size() == 4, "onnxplain: a value in planes needs four axes");
  require(block >= 1 && shape[1] % block == 0, "onnxplain: channels do not fill their blocks");
  return {shape[0] * (shape[1] / block), shape[2], shape[3], block};
}

// A shape of up to four axes with the channels split in blocks, for broadcasting: what has more
// than one channel or place must lie in blocks, too.
inline std::vector<std::int64_t> in_blocks(std::vector<std::int64_t> shape, std::int64_t block) {
  require(shape.size() <= 4, "onnxplain: values in blocks have four axes");
  shape.insert(shape.begin(), 4 - shape.size(), 1);
  require(shape[1] == 1 || shape[1] % block == 0, "onnxplain: channels do not fill their blocks");
  const std::int64_t lanes = shape[1] == 1 ? 1 : block;
  return {shape[0], shape[1] / lanes, shape[2], shape[3], lanes};
}

namespace cpu {

// One sample's channels, (channels / block, height, width, block) in memory.
template <class T>
struct Sample {
  T* data;
  std::int64_t channels;
  std::int64_t height;
  std::int64_t width;
  std::int64_t block;

  T* at(std::int64_t channel, std::int64_t y) const {
    return data + (channel / block * height + y) * width * block + channel % block;
  }
};

}  // namespace cpu
}  // namespace onnxplain

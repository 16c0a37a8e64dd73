// Where the windows of a pooling lie.
#pragma once

#include <algorithm>
#include <cstdint>

namespace onnxplain {

// Where windows lie along one axis.
struct WindowAxis {
  std::int64_t kernel;
  std::int64_t stride;
  std::int64_t dilation;
  std::int64_t begin;  // the pad before the first element
};

namespace cpu {

// Windows along the height that have places at or behind this one, and begin at or before it.
struct Reached {
  std::int64_t first;
  std::int64_t last;

  Reached(const WindowAxis& axis, std::int64_t windows, std::int64_t place) {
    const std::int64_t behind = place + axis.begin - (axis.kernel - 1) * axis.dilation;
    first = behind <= 0 ? 0 : (behind + axis.stride - 1) / axis.stride;
    last = std::min(windows - 1, (place + axis.begin) / axis.stride);
  }
};

// How many rows of windows may be open at once, for some rows of what was pooled.
inline std::int64_t most_open(const WindowAxis& down, std::int64_t windows, std::int64_t rows = 1) {
  return std::clamp<std::int64_t>(((down.kernel - 1) * down.dilation + rows - 1) / down.stride + 1,
                                  1, std::max<std::int64_t>(windows, 1));
}

}  // namespace cpu
}  // namespace onnxplain

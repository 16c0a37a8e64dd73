// Parts of a value put together: each has every s-th row and column of it, from a place of its own.
// What parts have beyond the value is left out.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/planes.hpp"

namespace onnxplain {

// A part of a plane.
struct Part {
  const float* data;  // its first plane
  std::int64_t height;
  std::int64_t width;
  std::int64_t row;     // where it begins
  std::int64_t column;  // where it begins
};

// Throws std::invalid_argument where parts with these strides share places, or begin beyond them.
void check_parts(const std::vector<Part>& parts, std::int64_t down, std::int64_t across);

namespace cpu {

// Writes plane `which`; what no part has is zero.
void interleave(const std::vector<Part>& parts, std::int64_t down, std::int64_t across,
                const Planes& result, std::int64_t which, float* out);

}  // namespace cpu
}  // namespace onnxplain

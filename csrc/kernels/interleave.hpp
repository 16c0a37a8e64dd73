// Parts of a value put together: each has every s-th row and column of it, from a place of its own.
// What parts have beyond the value is left out.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/half.hpp"
#include "kernels/planes.hpp"

namespace onnxplain {

// A part of a plane of Ts.
template <class T>
struct PartOf {
  const T* data;  // its first plane
  std::int64_t height;
  std::int64_t width;
  std::int64_t row;     // where it begins
  std::int64_t column;  // where it begins
};

using Part = PartOf<float>;

// Throws std::invalid_argument where parts with these strides share places, or begin beyond them.
template <class T>
void check_parts(const std::vector<PartOf<T>>& parts, std::int64_t down, std::int64_t across);

namespace cpu {

// Writes plane `which`; what no part has is zero.
template <class T>
void interleave(const std::vector<PartOf<T>>& parts, std::int64_t down, std::int64_t across,
                const Planes& result, std::int64_t which, T* out);

}  // namespace cpu
}  // namespace onnxplain

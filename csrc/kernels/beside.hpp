// Rows of several planes laid side by side, so that lanes of a vector have one plane each.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/half.hpp"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace onnxplain::cpu {

// `count` rows of `width` numbers, `step` apart, become `width` places with `lanes` numbers each,
// of which the first `count` are set.
inline void beside_one_by_one(const float* from, std::int64_t step, std::int64_t width,
                              std::int64_t count, std::int64_t lanes, float* to) {
  for (std::int64_t k = 0; k < width; ++k) {
    for (std::int64_t l = 0; l < count; ++l) {
      to[k * lanes + l] = from[l * step + k];
    }
  }
}

// The way back.
inline void behind_one_by_one(const float* from, std::int64_t step, std::int64_t width,
                              std::int64_t count, std::int64_t lanes, float* to) {
  for (std::int64_t l = 0; l < count; ++l) {
    for (std::int64_t k = 0; k < width; ++k) {
      to[l * step + k] = from[k * lanes + l];
    }
  }
}

#if defined(__SSE2__)
// Turns four vectors of four numbers, read `read` apart and written `written` apart.
inline void turn(const float* from, std::int64_t read, float* to, std::int64_t written) {
  __m128 a = _mm_loadu_ps(from);
  __m128 b = _mm_loadu_ps(from + read);
  __m128 c = _mm_loadu_ps(from + 2 * read);
  __m128 d = _mm_loadu_ps(from + 3 * read);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(to, a);
  _mm_storeu_ps(to + written, b);
  _mm_storeu_ps(to + 2 * written, c);
  _mm_storeu_ps(to + 3 * written, d);
}

inline void beside(const float* from, std::int64_t step, std::int64_t width, std::int64_t count,
                   std::int64_t lanes, float* to) {
  const std::int64_t whole = width / 4 * 4;
  std::int64_t l = 0;
  for (; l + 4 <= count; l += 4) {
    for (std::int64_t k = 0; k < whole; k += 4) {
      turn(from + l * step + k, step, to + k * lanes + l, lanes);
    }
    beside_one_by_one(from + l * step + whole, step, width - whole, 4, lanes,
                      to + whole * lanes + l);
  }
  beside_one_by_one(from + l * step, step, width, count - l, lanes, to + l);
}

inline void behind(const float* from, std::int64_t step, std::int64_t width, std::int64_t count,
                   std::int64_t lanes, float* to) {
  const std::int64_t whole = width / 4 * 4;
  std::int64_t l = 0;
  for (; l + 4 <= count; l += 4) {
    for (std::int64_t k = 0; k < whole; k += 4) {
      turn(from + k * lanes + l, lanes, to + l * step + k, step);
    }
    behind_one_by_one(from + whole * lanes + l, step, width - whole, 4, lanes,
                      to + l * step + whole);
  }
  behind_one_by_one(from + l, step, width, count - l, lanes, to + l * step);
}
#else
inline void beside(const float* from, std::int64_t step, std::int64_t width, std::int64_t count,
                   std::int64_t lanes, float* to) {
  beside_one_by_one(from, step, width, count, lanes, to);
}

inline void behind(const float* from, std::int64_t step, std::int64_t width, std::int64_t count,
                   std::int64_t lanes, float* to) {
  behind_one_by_one(from, step, width, count, lanes, to);
}
#endif

// Rows of float16 by way of rows of float32, some numbers of each at a time; they are kMostLanes at
// most.
inline constexpr std::int64_t kMostLanes = 16;
inline constexpr std::int64_t kColumnsOfHalves = 64;

inline void beside(const Half* from, std::int64_t step, std::int64_t width, std::int64_t count,
                   std::int64_t lanes, float* to) {
  float rows[kMostLanes * kColumnsOfHalves];
  for (std::int64_t k = 0; k < width; k += kColumnsOfHalves) {
    const std::int64_t n = std::min(kColumnsOfHalves, width - k);
    for (std::int64_t l = 0; l < count; ++l) {
      widen(from + l * step + k, n, rows + l * kColumnsOfHalves);
    }
    beside(static_cast<const float*>(rows), kColumnsOfHalves, n, count, lanes, to + k * lanes);
  }
}

inline void behind(const float* from, std::int64_t step, std::int64_t width, std::int64_t count,
                   std::int64_t lanes, Half* to) {
  float rows[kMostLanes * kColumnsOfHalves];
  for (std::int64_t k = 0; k < width; k += kColumnsOfHalves) {
    const std::int64_t n = std::min(kColumnsOfHalves, width - k);
    behind(from + k * lanes, kColumnsOfHalves, n, count, lanes, static_cast<float*>(rows));
    for (std::int64_t l = 0; l < count; ++l) {
      narrow(rows + l * kColumnsOfHalves, n, to + l * step + k);
    }
  }
}

}  // namespace onnxplain::cpu

// Rows of several planes laid side by side, so that lanes of a vector have one plane each.
#pragma once

#include <cstdint>

#include "kernels/half.hpp"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace onnxplain::cpu {

// `count` rows of `width` numbers, `step` apart, become `width` places with `lanes` numbers each,
// of which the first `count` are set.
template <class T>
void beside(const T* from, std::int64_t step, std::int64_t width, std::int64_t count,
            std::int64_t lanes, float* to) {
  for (std::int64_t k = 0; k < width; ++k) {
    for (std::int64_t l = 0; l < count; ++l) {
      to[k * lanes + l] = to_float(from[l * step + k]);
    }
  }
}

// The way back.
template <class T>
void behind(const float* from, std::int64_t step, std::int64_t width, std::int64_t count,
            std::int64_t lanes, T* to) {
  for (std::int64_t l = 0; l < count; ++l) {
    for (std::int64_t k = 0; k < width; ++k) {
      to[l * step + k] = from_float<T>(from[k * lanes + l]);
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
    beside<float>(from + l * step + whole, step, width - whole, 4, lanes, to + whole * lanes + l);
  }
  beside<float>(from + l * step, step, width, count - l, lanes, to + l);
}

inline void behind(const float* from, std::int64_t step, std::int64_t width, std::int64_t count,
                   std::int64_t lanes, float* to) {
  const std::int64_t whole = width / 4 * 4;
  std::int64_t l = 0;
  for (; l + 4 <= count; l += 4) {
    for (std::int64_t k = 0; k < whole; k += 4) {
      turn(from + k * lanes + l, lanes, to + l * step + k, step);
    }
    behind<float>(from + whole * lanes + l, step, width - whole, 4, lanes, to + l * step + whole);
  }
  behind<float>(from + l, step, width, count - l, lanes, to + l * step);
}
#endif

}  // namespace onnxplain::cpu

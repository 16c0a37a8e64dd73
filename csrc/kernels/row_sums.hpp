// Rows of numbers added to sums, one for each place in a row, in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "kernels/half.hpp"
#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {

// Rows that are best added at once.
inline constexpr std::size_t kRows = 4;

template <class T>
ONNXPLAIN_INLINE inline double wide(T value) {
  return static_cast<double>(to_float(value));
}

// Calls body(rows, begin, count) for all numbers of some rows, as float32: at once, or some at a
// time where they are of float16.
template <class Body>
ONNXPLAIN_INLINE inline void in_float32(const float* const* rows, std::size_t, std::int64_t count,
                                        const Body& body) {
  body(rows, 0, count);
}
template <class Body>
ONNXPLAIN_INLINE inline void in_float32(const Half* const* rows, std::size_t number,
                                        std::int64_t count, const Body& body) {
  float widened[kRows][kWidened];
  const float* some[kRows];
  for (std::int64_t begin = 0; begin < count; begin += kWidened) {
    const std::int64_t n = std::min(kWidened, count - begin);
    for (std::size_t k = 0; k < number; ++k) {
      widen(rows[k] + begin, n, widened[k]);
      some[k] = widened[k];
    }
    body(some, begin, n);
  }
}

// Adds rows, one after the other, to a block of sums. They are several, so that memory is read in
// several places at once.
ONNXPLAIN_INLINE inline void add_some(const float* const* rows, std::size_t number,
                                      std::int64_t count, double* sums) {
  if (number == kRows) {
    const float *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
    for (std::int64_t i = 0; i < count; ++i) {
      sums[i] = sums[i] + wide(a[i]) + wide(b[i]) + wide(c[i]) + wide(d[i]);
    }
    return;
  }
  for (std::size_t k = 0; k < number; ++k) {
    const float* row = rows[k];
    for (std::int64_t i = 0; i < count; ++i) {
      sums[i] += wide(row[i]);
    }
  }
}
template <class T>
ONNXPLAIN_INLINE inline void add_rows(const T* const* rows, std::size_t number, std::int64_t count,
                                      double* sums) {
  in_float32(rows, number, count,
             [=](const float* const* some, std::int64_t begin, std::int64_t n)
                 ONNXPLAIN_INLINE { add_some(some, number, n, sums + begin); });
}

// The same, and sums of sizes.
ONNXPLAIN_INLINE inline void add_some_sizes(const float* const* rows, std::size_t number,
                                            std::int64_t count, double* sums, double* sizes) {
  if (number == kRows) {
    const float *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC ivdep
#endif
    for (std::int64_t i = 0; i < count; ++i) {
      const double p = wide(a[i]), q = wide(b[i]), r = wide(c[i]), s = wide(d[i]);
      sums[i] = sums[i] + p + q + r + s;
      sizes[i] = sizes[i] + fabs(p) + fabs(q) + fabs(r) + fabs(s);
    }
    return;
  }
  for (std::size_t k = 0; k < number; ++k) {
    const float* row = rows[k];
    for (std::int64_t i = 0; i < count; ++i) {
      const double p = wide(row[i]);
      sums[i] += p;
      sizes[i] += fabs(p);
    }
  }
}
template <class T>
ONNXPLAIN_INLINE inline void add_sizes(const T* const* rows, std::size_t number, std::int64_t count,
                                       double* sums, double* sizes) {
  in_float32(rows, number, count,
             [=](const float* const* some, std::int64_t begin, std::int64_t n) ONNXPLAIN_INLINE {
               add_some_sizes(some, number, n, sums + begin, sizes + begin);
             });
}

}  // namespace onnxplain::cpu

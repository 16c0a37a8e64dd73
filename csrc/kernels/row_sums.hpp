// Rows of numbers added to sums, one for each place in a row, in double precision.
#pragma once

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

// Adds rows, one after the other, to a block of sums. They are several, so that memory is read in
// several places at once.
template <class T>
ONNXPLAIN_INLINE inline void add_rows(const T* const* rows, std::size_t number, std::int64_t count,
                                      double* sums) {
  if (number == kRows) {
    const T *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
    for (std::int64_t i = 0; i < count; ++i) {
      sums[i] = sums[i] + wide(a[i]) + wide(b[i]) + wide(c[i]) + wide(d[i]);
    }
    return;
  }
  for (std::size_t k = 0; k < number; ++k) {
    const T* row = rows[k];
    for (std::int64_t i = 0; i < count; ++i) {
      sums[i] += wide(row[i]);
    }
  }
}

// The same, and sums of sizes.
template <class T>
ONNXPLAIN_INLINE inline void add_sizes(const T* const* rows, std::size_t number, std::int64_t count,
                                       double* sums, double* sizes) {
  if (number == kRows) {
    const T *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
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
    const T* row = rows[k];
    for (std::int64_t i = 0; i < count; ++i) {
      const double p = wide(row[i]);
      sums[i] += p;
      sizes[i] += fabs(p);
    }
  }
}

}  // namespace onnxplain::cpu

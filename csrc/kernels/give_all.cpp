#include "kernels/give_all.hpp"

#include <algorithm>

#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {
namespace {

constexpr std::int64_t kLanes = 16;
constexpr std::int64_t kColumns = 256;

double total(const double* lanes) {
  double sum = 0.0;
  for (std::int64_t k = 0; k < kLanes; ++k) {
    sum += lanes[k];
  }
  return sum;
}

// What is missing of a row, for each unit of what its inputs got.
struct Share {
  float part;
  float even;  // what each input gets where none got anything; else 0

  Share(const ShareSums& sums, std::int64_t below) {
    const double missing = sums.relevance - sums.given;
    const bool none = sums.size == 0.0;
    part = none ? 0.0f : static_cast<float>(missing / sums.size);
    even = none ? static_cast<float>(missing / static_cast<double>(below)) : 0.0f;
  }
};

template <class T>
ONNXPLAIN_INLINE inline ShareSums sums_of(const T* relevance, std::int64_t above, const T* given,
                                          std::int64_t below) {
  double arrived[kLanes] = {};
  double got[kLanes] = {};
  double size[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= above; i += kLanes) {
    for (std::int64_t k = 0; k < kLanes; ++k) {
      arrived[k] += static_cast<double>(to_float(relevance[i + k]));
    }
  }
  for (; i < above; ++i) {
    arrived[0] += static_cast<double>(to_float(relevance[i]));
  }
  for (i = 0; i + kLanes <= below; i += kLanes) {
    for (std::int64_t k = 0; k < kLanes; ++k) {
      got[k] += static_cast<double>(to_float(given[i + k]));
    }
    for (std::int64_t k = 0; k < kLanes; ++k) {
      size[k] += static_cast<double>(__builtin_fabsf(to_float(given[i + k])));
    }
  }
  for (; i < below; ++i) {
    got[0] += static_cast<double>(to_float(given[i]));
    size[0] += static_cast<double>(__builtin_fabsf(to_float(given[i])));
  }
  return {total(arrived), total(got), total(size)};
}

template <class T>
ONNXPLAIN_INLINE inline void give_row(const ShareSums& sums, std::int64_t below, const T* given,
                                      std::int64_t count, T* to) {
  const Share share(sums, below);
  const float part = share.part;
  const float even = share.even;
  for (std::int64_t i = 0; i < count; ++i) {
    const float got = to_float(given[i]);
    to[i] = from_float<T>(got + (part * __builtin_fabsf(got) + even));
  }
}

template <class T>
ONNXPLAIN_INLINE inline void give_strip(const ShareRows& rows, const T* relevance, const T* given,
                                        std::int64_t begin, std::int64_t end, T* to) {
  for (std::int64_t start = begin; start < end; start += kColumns) {
    const std::int64_t count = std::min(kColumns, end - start);
    double arrived[kColumns] = {};
    double got[kColumns] = {};
    double size[kColumns] = {};
    float part[kColumns];
    float even[kColumns];
    for (std::int64_t row = 0; row < rows.above; ++row) {
      const T* from = relevance + row * rows.inner + start;
      for (std::int64_t k = 0; k < count; ++k) {
        arrived[k] += static_cast<double>(to_float(from[k]));
      }
    }
    for (std::int64_t row = 0; row < rows.below; ++row) {
      const T* from = given + row * rows.inner + start;
      for (std::int64_t k = 0; k < count; ++k) {
        got[k] += static_cast<double>(to_float(from[k]));
        size[k] += static_cast<double>(__builtin_fabsf(to_float(from[k])));
      }
    }
    for (std::int64_t k = 0; k < count; ++k) {
      const Share share({arrived[k], got[k], size[k]}, rows.below);
      part[k] = share.part;
      even[k] = share.even;
    }
    for (std::int64_t row = 0; row < rows.below; ++row) {
      const T* from = given + row * rows.inner + start;
      T* out = to + row * rows.inner + start;
      for (std::int64_t k = 0; k < count; ++k) {
        const float value = to_float(from[k]);
        out[k] = from_float<T>(value + (part[k] * __builtin_fabsf(value) + even[k]));
      }
    }
  }
}

}  // namespace

// For each type of elements one function of each kind.
#define ONNXPLAIN_SHARES(T)                                                                        \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                                     \
  ShareSums share_sums(const T* relevance, std::int64_t above, const T* given,                     \
                       std::int64_t below) {                                                       \
    return sums_of(relevance, above, given, below);                                                \
  }                                                                                                \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                                     \
  void give(const ShareSums& sums, std::int64_t below, const T* given, std::int64_t count,         \
            T* to) {                                                                               \
    give_row(sums, below, given, count, to);                                                       \
  }                                                                                                \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                                     \
  void give_columns(const ShareRows& rows, const T* relevance, const T* given, std::int64_t begin, \
                    std::int64_t end, T* to) {                                                     \
    give_strip(rows, relevance, given, begin, end, to);                                            \
  }

ONNXPLAIN_SHARES(float)
ONNXPLAIN_SHARES(Half)

#undef ONNXPLAIN_SHARES

}  // namespace onnxplain::cpu

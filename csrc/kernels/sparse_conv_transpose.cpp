#include "kernels/sparse_conv_transpose.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

#include "onnxplain/check.hpp"
#include "onnxplain/processors.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace onnxplain {

void check(const SparseConvTranspose& conv) {
  require(conv.channels >= 1, "SparseConvTranspose: channels must be at least 1");
  for (int axis = 0; axis < 2; ++axis) {
    require(conv.kernel[axis] >= 1 && conv.stride[axis] >= 1 && conv.begin[axis] >= 0,
            "SparseConvTranspose: kernel_shape and strides are at least 1, begins 0");
  }
}

namespace cpu {
namespace {

constexpr std::int64_t kLanes = SparseConvTranspose::kLanes;

// Times sixteen numbers that are added up at once, in registers.
constexpr int kMostPacks = 13;

// Sixteen numbers that are worked on as one.
#if defined(__GNUC__)
#define ONNXPLAIN_UNROLLED _Pragma("GCC unroll 16")
typedef float Lanes __attribute__((vector_size(sizeof(float) * kLanes)));
#else
#define ONNXPLAIN_UNROLLED
struct Lanes {
  float at[kLanes];
  Lanes& operator+=(const Lanes& other) {
    for (int l = 0; l < kLanes; ++l) {
      at[l] += other.at[l];
    }
    return *this;
  }
};
inline Lanes operator*(float v, Lanes w) {
  for (float& number : w.at) {
    number *= v;
  }
  return w;
}
#endif

// Adds up `Packs` times sixteen numbers of the kernels, each times its value.
template <int Packs>
ONNXPLAIN_INLINE inline void add_up(const float* const* kernels, const float* values,
                                    std::int64_t count, std::int64_t from, float* sum) {
  Lanes held[Packs] = {};
  for (std::int64_t k = 0; k < count; ++k) {
    const float* kernel = kernels[k] + from;
    ONNXPLAIN_UNROLLED
    for (int p = 0; p < Packs; ++p) {
      Lanes numbers;
      std::memcpy(&numbers, kernel + p * kLanes, sizeof(numbers));
      held[p] += values[k] * numbers;
    }
  }
  std::memcpy(sum + from, held, sizeof(held));
}

#define ONNXPLAIN_REST(packs) \
  case packs:                 \
    return add_up<packs>(kernels, values, count, from, sum);

ONNXPLAIN_FOR_EACH_PROCESSOR
void add_up_all(const float* const* kernels, const float* values, std::int64_t count,
                std::int64_t row, float* sum) {
  std::int64_t from = 0;
  for (; from + kMostPacks * kLanes <= row; from += kMostPacks * kLanes) {
    add_up<kMostPacks>(kernels, values, count, from, sum);
  }
  switch ((row - from) / kLanes) {
    ONNXPLAIN_REST(1)
    ONNXPLAIN_REST(2)
    ONNXPLAIN_REST(3)
    ONNXPLAIN_REST(4)
    ONNXPLAIN_REST(5)
    ONNXPLAIN_REST(6)
    ONNXPLAIN_REST(7)
    ONNXPLAIN_REST(8)
    ONNXPLAIN_REST(9)
    ONNXPLAIN_REST(10)
    ONNXPLAIN_REST(11)
    ONNXPLAIN_REST(12)
    default:
      return;
  }
}

#undef ONNXPLAIN_REST

// Adds rows of `run` numbers to rows that are `wide` numbers apart.
ONNXPLAIN_FOR_EACH_PROCESSOR
void add_to(const float* from, std::int64_t run, std::int64_t rows, float* to, std::int64_t wide) {
  for (std::int64_t k = 0; k < rows; ++k, from += run, to += wide) {
    for (std::int64_t i = 0; i < run; i += 8) {
      for (int l = 0; l < 8; ++l) {
        to[i + l] += from[i + l];
      }
    }
  }
}

// Returns a row of one sample as (width, channels), in memory of its own where it does not lie so.
const float* places_first(const Sample<const float>& given, std::int64_t y, float* to) {
  if (given.block == given.channels) {
    return given.at(0, y);
  }
  for (std::int64_t c = 0; c < given.channels; c += given.block) {
    const float* from = given.at(c, y);
    for (std::int64_t x = 0; x < given.width; ++x) {
      for (std::int64_t l = 0; l < given.block; ++l) {
        to[x * given.channels + c + l] = from[x * given.block + l];
      }
    }
  }
  return to;
}

// Tells which of sixteen numbers, or of `count` where they are fewer, are not zero.
std::uint32_t not_zero(const float* numbers, std::int64_t count) {
  std::uint32_t found = 0;
#if defined(__SSE2__)
  if (count >= kLanes) {
    for (int k = 0; k < kLanes; k += 4) {
      const __m128 four = _mm_cmpneq_ps(_mm_loadu_ps(numbers + k), _mm_setzero_ps());
      found |= static_cast<std::uint32_t>(_mm_movemask_ps(four)) << k;
    }
    return found;
  }
#endif
  for (std::int64_t k = 0; k < std::min(count, kLanes); ++k) {
    found |= (numbers[k] != 0.0f ? 1U : 0U) << k;
  }
  return found;
}

// Takes a place's channels that are not zero; returns how many there are.
std::int64_t take(const float* place, std::int64_t channels, const float* weight, std::int64_t row,
                  float* values, const float** kernels) {
  std::int64_t found = 0;
  for (std::int64_t c = 0; c < channels; c += kLanes) {
    for (std::uint32_t left = not_zero(place + c, channels - c); left != 0; left &= left - 1) {
      const std::int64_t which = c + std::countr_zero(left);
      values[found] = place[which];
      kernels[found] = weight + which * row;
      ++found;
    }
  }
  return found;
}

// Copies rows of a group out of the scratch.
void lay_out(const float* made, std::int64_t wide, std::int64_t rows, std::int64_t group,
             std::int64_t first, const Sample<float>& result) {
  const std::int64_t begin = group * kLanes;
  const std::int64_t count = std::min(kLanes, result.channels - begin);
  for (std::int64_t y = 0; y < rows; ++y, made += wide) {
    if (result.block == kLanes) {
      std::copy_n(made, result.width * kLanes, result.at(begin, first + y));
      continue;
    }
    for (std::int64_t c = 0; c < count; ++c) {
      float* to = result.at(begin + c, first + y);
      for (std::int64_t x = 0; x < result.width; ++x) {
        to[x * result.block] = made[x * kLanes + c];
      }
    }
  }
}

}  // namespace

SparseScratch::SparseScratch(const SparseConvTranspose& conv, const Sample<const float>& given,
                             std::int64_t width, std::int64_t rows)
    : wide_(std::max((given.width - 1) * conv.stride[1] * kLanes + conv.run(),
                     (conv.begin[1] + width) * kLanes)),
      made_(static_cast<std::size_t>(rows * wide_)),
      row_(static_cast<std::size_t>(given.width * given.channels)),
      values_(static_cast<std::size_t>(given.channels)),
      kernels_(values_.size()),
      sum_(static_cast<std::size_t>(conv.row())) {}

void sparse_conv_transpose(const SparseConvTranspose& conv, const Sample<const float>& given,
                           const float* weight, std::int64_t group, std::int64_t first,
                           std::int64_t last, const Sample<float>& result, SparseScratch& scratch) {
  const std::int64_t rows = last - first;
  const std::int64_t run = conv.run();
  const std::int64_t wide = scratch.wide_;
  const std::int64_t step = conv.stride[1] * kLanes;
  float* sum = scratch.sum_.data();
  std::fill_n(scratch.made_.data(), rows * wide, 0.0f);
  for (std::int64_t y = 0; y < given.height; ++y) {
    const std::int64_t top = y * conv.stride[0] - conv.begin[0] - first;
    const std::int64_t from = std::max<std::int64_t>(0, -top);
    const std::int64_t to = std::min(conv.kernel[0], rows - top);
    if (from >= to) {
      continue;
    }
    const float* places = places_first(given, y, scratch.row_.data());
    for (std::int64_t x = 0; x < given.width; ++x, places += given.channels) {
      const std::int64_t count = take(places, given.channels, weight, conv.row(),
                                      scratch.values_.data(), scratch.kernels_.data());
      if (count > 0) {
        add_up_all(scratch.kernels_.data(), scratch.values_.data(), count, conv.row(), sum);
        add_to(sum + from * run, run, to - from,
               scratch.made_.data() + (top + from) * wide + x * step, wide);
      }
    }
  }
  lay_out(scratch.made_.data() + conv.begin[1] * kLanes, wide, rows, group, first, result);
}

}  // namespace cpu
}  // namespace onnxplain

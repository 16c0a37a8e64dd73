// Numbers of float16 as they lie in memory, and their way to float32 and back, exact and rounded to
// nearest even. What is no number becomes a quiet one of the same sign, on the way back always the
// same. Without the compilers' own types, which not all of them have: many numbers are converted by
// `widen` and `narrow`, which use the processor's instructions where it has them, to the same bits.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "onnxplain/tensor_view.hpp"

#ifdef __CUDACC__
#include <cuda_fp16.h>
#endif

namespace onnxplain {

struct Half {
  std::uint16_t bits;
};

ONNXPLAIN_HOST_DEVICE inline float to_float(float value) {
  return value;
}

ONNXPLAIN_HOST_DEVICE inline float to_float(Half value) {
#ifdef __CUDA_ARCH__
  return __half2float(__ushort_as_half(value.bits));
#else
  constexpr std::uint32_t kEndless = 0x7c00u << 13;  // the exponent of what is not finite
  const std::uint32_t sign = (value.bits & 0x8000u) << 16;
  const std::uint32_t moved = (value.bits & 0x7fffu) << 13;
  const std::uint32_t exponent = moved & kEndless;
  const std::uint32_t normal = moved + ((127u - 15u) << 23);
  const std::uint32_t wide = exponent == kEndless ? normal + ((128u - 16u) << 23) : normal;
  // A denormal number is what it adds to 2^-14.
  const float small = std::bit_cast<float>(normal + (1u << 23)) - std::bit_cast<float>(113u << 23);
  const std::uint32_t size = exponent == 0 ? std::bit_cast<std::uint32_t>(small) : wide;
  const std::uint32_t quiet = moved > kEndless ? 0x00400000u : 0u;
  return std::bit_cast<float>(size | sign | quiet);
#endif
}

template <class T>
ONNXPLAIN_HOST_DEVICE T from_float(float value);

template <>
ONNXPLAIN_HOST_DEVICE inline float from_float<float>(float value) {
  return value;
}

template <>
ONNXPLAIN_HOST_DEVICE inline Half from_float<Half>(float value) {
#ifdef __CUDA_ARCH__
  return {__half_as_ushort(__float2half_rn(value))};
#else
  constexpr std::uint32_t kInfinity = 255u << 23;
  constexpr std::uint32_t kTooLarge = (127u + 16u) << 23;
  constexpr std::uint32_t kNormal = 113u << 23;  // 2^-14
  constexpr std::uint32_t kUnit = (127u - 15u + 23u - 10u + 1u) << 23;
  const std::uint32_t all = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = all & 0x80000000u;
  const std::uint32_t size = all ^ sign;
  const std::uint32_t endless = size > kInfinity ? 0x7e00u : 0x7c00u;
  // Added to a number whose last bit is that of the smallest denormal, the sum is rounded there.
  const float sum = std::bit_cast<float>(size) + std::bit_cast<float>(kUnit);
  const std::uint32_t small = std::bit_cast<std::uint32_t>(sum) - kUnit;
  const std::uint32_t odd = (size >> 13) & 1u;
  const std::uint32_t normal = (size - ((127u - 15u) << 23) + 0xfffu + odd) >> 13;
  const std::uint32_t made = size >= kTooLarge ? endless : (size < kNormal ? small : normal);
  return {static_cast<std::uint16_t>(made | (sign >> 16))};
#endif
}

namespace cpu {

// Copies n numbers as float32.
void widen(const Half* from, std::int64_t n, float* to);
inline void widen(const float* from, std::int64_t n, float* to) {
  std::copy_n(from, n, to);
}

// Rounds n numbers.
void narrow(const float* from, std::int64_t n, Half* to);
inline void narrow(const float* from, std::int64_t n, float* to) {
  std::copy_n(from, n, to);
}

// The loops that this processor can run, the one that `widen` and `narrow` take first; the last
// runs on all processors.
struct HalfLoops {
  const char* processor;
  void (*widen)(const Half* from, std::int64_t n, float* to);
  void (*narrow)(const float* from, std::int64_t n, Half* to);
};
std::vector<HalfLoops> half_loops();

// Numbers that kernels of float32 are given at once where tensors are of float16.
inline constexpr std::int64_t kWidened = 1024;

}  // namespace cpu

}  // namespace onnxplain

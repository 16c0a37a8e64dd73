// Normal random numbers that have the same bits everywhere.
//
// The integers come from the counter-based generator Philox4x32-10 (Salmon et al., "Parallel
// random numbers: as easy as 1, 2, 3", 2011): a pure function of a counter and a key. The normals
// come from the Box-Muller transform, with logarithm, sine and cosine written here, in float32 and
// in float64, by additions, multiplications, divisions and square roots alone. IEEE 754 rounds
// those the same way on every processor, so CPU, GPU and NumPy agree to the last bit, provided that
// the compiler does not fuse them (-ffp-contract=off, --fmad=false in CMakeLists.txt). Those of
// float32 are those of float64 to 4e-7 of their size.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "onnxplain/tensor_view.hpp"

namespace onnxplain {

struct PhiloxWords {
  std::uint32_t word[4];
};

ONNXPLAIN_HOST_DEVICE inline PhiloxWords philox4x32(PhiloxWords counter, std::uint64_t seed) {
  std::uint32_t key0 = static_cast<std::uint32_t>(seed);
  std::uint32_t key1 = static_cast<std::uint32_t>(seed >> 32);
  PhiloxWords x = counter;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * x.word[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * x.word[2];
    x = {{static_cast<std::uint32_t>(b >> 32) ^ x.word[1] ^ key0, static_cast<std::uint32_t>(b),
          static_cast<std::uint32_t>(a >> 32) ^ x.word[3] ^ key1, static_cast<std::uint32_t>(a)}};
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
  return x;
}

namespace detail {

ONNXPLAIN_HOST_DEVICE inline double as_double(std::uint64_t bits) {
  return std::bit_cast<double>(bits);
}

ONNXPLAIN_HOST_DEVICE inline std::uint64_t as_bits(double value) {
  return std::bit_cast<std::uint64_t>(value);
}

// An integer below 2^32 as a double, exactly, by writing it into the mantissa of 2^52.
ONNXPLAIN_HOST_DEVICE inline double exact_double(std::uint64_t word) {
  return as_double(word | 0x4330000000000000ULL) - 4503599627370496.0;
}

ONNXPLAIN_HOST_DEVICE inline float as_float(std::uint32_t bits) {
  return std::bit_cast<float>(bits);
}

ONNXPLAIN_HOST_DEVICE inline std::uint32_t as_bits(float value) {
  return std::bit_cast<std::uint32_t>(value);
}

// log((word + 1/2) / 2^32): the argument is m 2^e with m in [sqrt(1/2), sqrt(2)), and
// log m = 2 artanh s = 2 (s + s^3/3 + s^5/5 + ...) with s = (m - 1) / (m + 1), |s| < 0.172.
ONNXPLAIN_HOST_DEVICE inline double log_uniform(std::uint32_t word) {
  const std::uint64_t sqrt_half = 0x3FE6A09E667F3BCDULL;
  const std::uint64_t bits = as_bits(exact_double(word) + 0.5);
  const std::uint64_t exponent = (bits - sqrt_half + (64ULL << 52)) >> 52;  // e + 32 + 64
  const double m = as_double(bits - (exponent << 52) + (64ULL << 52));
  const double s = (m - 1.0) / (m + 1.0);
  const double t = s * s;
  double p = 1.0 / 21.0;
  p = p * t + 1.0 / 19.0;
  p = p * t + 1.0 / 17.0;
  p = p * t + 1.0 / 15.0;
  p = p * t + 1.0 / 13.0;
  p = p * t + 1.0 / 11.0;
  p = p * t + 1.0 / 9.0;
  p = p * t + 1.0 / 7.0;
  p = p * t + 1.0 / 5.0;
  p = p * t + 1.0 / 3.0;
  p = p * t + 1.0;
  return (exact_double(exponent) - 96.0) * 0.693147180559945309417 + 2.0 * s * p;
}

// -2 log((word + 1/2) / 2^32) in float32. With w = word + 1/2 = m 2^e as above, m - 1 must not lose
// what is small: the two halves of w are exact, and so is the difference of the upper one and 2^e.
// The series of 4 artanh(s) / s is cut after three terms, which are fitted (to 3e-9).
ONNXPLAIN_HOST_DEVICE inline float minus_two_log_uniform(std::uint32_t word) {
  const float upper = static_cast<float>(static_cast<std::int32_t>(word >> 16)) * 65536.0f;
  const float lower = static_cast<float>(static_cast<std::int32_t>(word & 0xFFFFU)) + 0.5f;
  const float w = upper + lower;
  const std::int32_t exponent = static_cast<std::int32_t>(as_bits(w) - 0x3F3504F3U) >> 23;
  const float power = as_float(static_cast<std::uint32_t>(exponent + 127) << 23);
  const float s = (upper - power + lower) / (w + power);
  const float t = s * s;
  float p = 0.59164089f;
  p = p * t + 0.79977441f;
  p = p * t + 1.33333373f;
  p = p * t + 4.0f;
  return static_cast<float>(32 - exponent) * 1.38629436f - s * p;
}

}  // namespace detail

// Two independent standard normals from two random words (Box and Muller, 1958):
// sqrt(-2 log u) (cos v, sin v). The first word gives u, the second the angle v: its two upper
// bits choose a quadrant, the other thirty an offset a within [-pi/4, pi/4], where the Taylor
// series of sine and cosine are short.
ONNXPLAIN_HOST_DEVICE inline void box_muller(std::uint32_t word_u, std::uint32_t word_v,
                                             double& first, double& second) {
  const double radius = std::sqrt(-2.0 * detail::log_uniform(word_u));
  const std::uint32_t quadrant = word_v >> 30;
  const double offset = detail::exact_double(word_v & 0x3FFFFFFFU) - 536870911.5;
  const double a = offset * (3.14159265358979323846 / 2147483648.0);
  const double t = a * a;
  double sine = 1.0 / 355687428096000.0;
  sine = sine * t - 1.0 / 1307674368000.0;
  sine = sine * t + 1.0 / 6227020800.0;
  sine = sine * t - 1.0 / 39916800.0;
  sine = sine * t + 1.0 / 362880.0;
  sine = sine * t - 1.0 / 5040.0;
  sine = sine * t + 1.0 / 120.0;
  sine = sine * t - 1.0 / 6.0;
  sine = sine * t + 1.0;
  sine = sine * a;
  double cosine = 1.0 / 20922789888000.0;
  cosine = cosine * t - 1.0 / 87178291200.0;
  cosine = cosine * t + 1.0 / 479001600.0;
  cosine = cosine * t - 1.0 / 3628800.0;
  cosine = cosine * t + 1.0 / 40320.0;
  cosine = cosine * t - 1.0 / 720.0;
  cosine = cosine * t + 1.0 / 24.0;
  cosine = cosine * t - 1.0 / 2.0;
  cosine = cosine * t + 1.0;
  const bool swap = (quadrant & 1U) != 0;
  const double x = swap ? sine : cosine;
  const double y = swap ? cosine : sine;
  first = radius * (quadrant == 1U || quadrant == 2U ? -x : x);
  second = radius * (quadrant >= 2U ? -y : y);
}

// The same in float32, with fitted series of sine (to 1e-8) and cosine (to 1e-9).
ONNXPLAIN_HOST_DEVICE inline void box_muller(std::uint32_t word_u, std::uint32_t word_v,
                                             float& first, float& second) {
  const float radius = sqrtf(detail::minus_two_log_uniform(word_u));
  const auto offset =
      static_cast<float>(static_cast<std::int32_t>(word_v & 0x3FFFFFFFU) - (1 << 29));
  const float a = (offset + 0.5f) * 1.46291808e-9f;
  const float t = a * a;
  float sine = -1.9588010e-4f;
  sine = sine * t + 8.3327489e-3f;
  sine = sine * t - 1.66666642e-1f;
  sine = sine * t * a + a;
  float cosine = 2.4548042e-5f;
  cosine = cosine * t - 1.3888304e-3f;
  cosine = cosine * t + 4.1666664e-2f;
  cosine = cosine * t * t - 0.5f * t + 1.0f;
  const bool swap = (word_v & 0x40000000U) != 0;
  const float x = swap ? sine : cosine;
  const float y = swap ? cosine : sine;
  // Signs by quadrant: -x in the second and third, -y in the third and fourth.
  const std::uint32_t x_sign = (word_v + 0x40000000U) & 0x80000000U;
  first = radius * detail::as_float(detail::as_bits(x) ^ x_sign);
  second = radius * detail::as_float(detail::as_bits(y) ^ (word_v & 0x80000000U));
}

}  // namespace onnxplain

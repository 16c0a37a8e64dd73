// What the walk back through Gelu makes of one number, on all devices.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "onnxplain/processors.hpp"
#include "onnxplain/tensor_view.hpp"

namespace onnxplain {

// e^z for z <= 0, to two units in the last place; 0 below e^-87.
ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE inline float gelu_exponential(float z) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded to integers
  const float shifted = z * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = z - n * 0.693359375f - n * -2.12194440e-4f;
  float poly = 1.9875691500e-4f;
  poly = poly * r + 1.3981999507e-3f;
  poly = poly * r + 8.3334519073e-3f;
  poly = poly * r + 4.1665795894e-2f;
  poly = poly * r + 1.6666665459e-1f;
  poly = poly * r + 5.0000001201e-1f;
  poly = poly * r * r + r + 1.0f;
  const auto power = std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) + 127u) << 23);
  return z < -87.0f ? 0.0f : poly * power;
}

ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE inline float gelu_slope(float x) {
  const float e = gelu_exponential(-0.5f * x * x);
  const float size = fabsf(x) * 0.70710678f;
  const float t = 1.0f / (1.0f + 0.3275911f * size);
  float poly = 1.061405429f;
  poly = poly * t + -1.453152027f;
  poly = poly * t + 1.421413741f;
  poly = poly * t + -0.284496736f;
  poly = poly * t + 0.254829592f;
  const float tail = 0.5f * (poly * t) * e;  // of P beyond |x|
  return (x < 0.0f ? tail : 1.0f - tail) + x * (e * 0.39894228f);
}

// Of x / 2 (1 + tanh u), u = sqrt(2 / pi) (x + 0.044715 x^3), with the exponential of -2 |u|.
ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE inline float gelu_tanh_slope(float x) {
  const float whole = x * x;
  const float square = whole > 1e4f ? 1e4f : whole;  // beyond, the exponential is 0 anyway
  const float u = 0.79788456f * x * (1.0f + 0.044715f * square);
  const float e = gelu_exponential(-2.0f * fabsf(u));
  const float inverse = 1.0f / (1.0f + e);
  const float tail = e * inverse;  // (1 - tanh |u|) / 2
  const float rise = 2.0f * x * (tail * inverse) * (0.79788456f * (1.0f + 0.134145f * square));
  return (x < 0.0f ? tail : inverse) + rise;
}

// The walk back through Gelu, or through its approximation with tanh.
template <bool kTanh>
ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE inline float gelu_step(float factor, float x, float g) {
  return factor * g * (kTanh ? gelu_tanh_slope(x) : gelu_slope(x));
}

}  // namespace onnxplain

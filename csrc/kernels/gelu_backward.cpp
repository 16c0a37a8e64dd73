#include "kernels/gelu_backward.hpp"

#include <bit>

#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {
namespace {

// e^z for z <= 0, to two units in the last place; 0 below e^-87.
ONNXPLAIN_INLINE inline float exponential(float z) {
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

ONNXPLAIN_INLINE inline float slope(float x) {
  const float e = exponential(-0.5f * x * x);
  const float size = __builtin_fabsf(x) * 0.70710678f;
  const float t = 1.0f / (1.0f + 0.3275911f * size);
  float poly = 1.061405429f;
  poly = poly * t + -1.453152027f;
  poly = poly * t + 1.421413741f;
  poly = poly * t + -0.284496736f;
  poly = poly * t + 0.254829592f;
  const float tail = 0.5f * (poly * t) * e;  // of P beyond |x|
  return (x < 0.0f ? tail : 1.0f - tail) + x * (e * 0.39894228f);
}

}  // namespace

ONNXPLAIN_FOR_EACH_PROCESSOR
void gelu_backward(float factor, const float* x, const float* g, std::int64_t count, float* dx) {
  for (std::int64_t i = 0; i < count; ++i) {
    dx[i] = factor * g[i] * slope(x[i]);
  }
}

}  // namespace onnxplain::cpu

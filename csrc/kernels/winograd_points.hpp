// The matrices of winograd.hpp, for one row or column.
#pragma once

#include "onnxplain/processors.hpp"

namespace onnxplain::cpu::winograd {

// The points, and what is made of them; all are exact.
inline constexpr float kA = 0.625f;
inline constexpr float kB = 1.5f;
inline constexpr float kA2 = kA * kA;
inline constexpr float kB2 = kB * kB;

// B' of one row or column.
template <class V>
ONNXPLAIN_INLINE inline void given_points(const V* x, V* made) {
  const V even_a = x[4] - x[2] * kB2;
  const V odd_a = (x[3] - x[1] * kB2) * kA;
  const V even_b = x[4] - x[2] * kA2;
  const V odd_b = (x[3] - x[1] * kA2) * kB;
  made[0] = x[0] * (kA2 * kB2) - x[2] * (kA2 + kB2) + x[4];
  made[1] = even_a + odd_a;
  made[2] = even_a - odd_a;
  made[3] = even_b + odd_b;
  made[4] = even_b - odd_b;
  made[5] = x[1] * (kA2 * kB2) - x[3] * (kA2 + kB2) + x[5];
}

// G of one row or column of a kernel.
template <class V>
ONNXPLAIN_INLINE inline void kernel_points(const V* k, V* made) {
  constexpr float kFirst = 1.0f / (kA2 * kB2);
  constexpr float kOfA = 1.0f / (2.0f * kA2 * (kA2 - kB2));
  constexpr float kOfB = 1.0f / (2.0f * kB2 * (kB2 - kA2));
  const V even_a = (k[0] + k[2] * kA2) * kOfA;
  const V odd_a = k[1] * (kA * kOfA);
  const V even_b = (k[0] + k[2] * kB2) * kOfB;
  const V odd_b = k[1] * (kB * kOfB);
  made[0] = k[0] * kFirst;
  made[1] = even_a + odd_a;
  made[2] = even_a - odd_a;
  made[3] = even_b + odd_b;
  made[4] = even_b - odd_b;
  made[5] = k[2];
}

// A' of one row or column.
template <class V>
ONNXPLAIN_INLINE inline void made_places(const V* m, V* made) {
  const V even_a = m[1] + m[2];
  const V odd_a = m[1] - m[2];
  const V even_b = m[3] + m[4];
  const V odd_b = m[3] - m[4];
  made[0] = m[0] + even_a + even_b;
  made[1] = odd_a * kA + odd_b * kB;
  made[2] = even_a * kA2 + even_b * kB2;
  made[3] = odd_a * (kA2 * kA) + odd_b * (kB2 * kB) + m[5];
}

}  // namespace onnxplain::cpu::winograd

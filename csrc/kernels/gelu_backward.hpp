// The walk back through Gelu, x P(X <= x) for a normal X: dx = factor * g * (P(x) + x p(x)).
//
// P is computed to 1.5e-7 (Abramowitz and Stegun, 7.1.26), with one exponential for it and for the
// density p, in float32 throughout; all processors give the same bits. Of float16 the result alone
// is rounded.
#pragma once

#include <cstdint>

#include "kernels/half.hpp"

namespace onnxplain::cpu {

// Computes `count` numbers, of Gelu itself or of its approximation with tanh.
void gelu_backward(float factor, bool by_tanh, const float* x, const float* g, std::int64_t count,
                   float* dx);
void gelu_backward(float factor, bool by_tanh, const Half* x, const Half* g, std::int64_t count,
                   Half* dx);

}  // namespace onnxplain::cpu

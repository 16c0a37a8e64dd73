#include "kernels/gelu_backward.hpp"

#include <algorithm>

#include "kernels/gelu_steps.hpp"
#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {

namespace {

template <bool kTanh>
ONNXPLAIN_INLINE inline void all(float factor, const float* x, const float* g, std::int64_t count,
                                 float* dx) {
  for (std::int64_t i = 0; i < count; ++i) {
    dx[i] = gelu_step<kTanh>(factor, x[i], g[i]);
  }
}

}  // namespace

ONNXPLAIN_FOR_EACH_PROCESSOR
void gelu_backward(float factor, bool by_tanh, const float* x, const float* g, std::int64_t count,
                   float* dx) {
  if (by_tanh) {
    all<true>(factor, x, g, count, dx);
  } else {
    all<false>(factor, x, g, count, dx);
  }
}

void gelu_backward(float factor, bool by_tanh, const Half* x, const Half* g, std::int64_t count,
                   Half* dx) {
  float xs[kWidened];
  float gs[kWidened];
  for (std::int64_t at = 0; at < count; at += kWidened) {
    const std::int64_t n = std::min(kWidened, count - at);
    widen(x + at, n, xs);
    widen(g + at, n, gs);
    gelu_backward(factor, by_tanh, xs, gs, n, gs);
    narrow(gs, n, dx + at);
  }
}

}  // namespace onnxplain::cpu

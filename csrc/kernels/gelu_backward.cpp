#include "kernels/gelu_backward.hpp"

#include "kernels/gelu_steps.hpp"
#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {

ONNXPLAIN_FOR_EACH_PROCESSOR
void gelu_backward(float factor, const float* x, const float* g, std::int64_t count, float* dx) {
  for (std::int64_t i = 0; i < count; ++i) {
    dx[i] = gelu_step(factor, x[i], g[i]);
  }
}

}  // namespace onnxplain::cpu

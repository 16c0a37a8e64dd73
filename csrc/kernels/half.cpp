#include "kernels/half.hpp"

#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {

ONNXPLAIN_FOR_EACH_PROCESSOR
void widen(const Half* from, std::int64_t n, float* to) {
  for (std::int64_t i = 0; i < n; ++i) {
    to[i] = to_float(from[i]);
  }
}

ONNXPLAIN_FOR_EACH_PROCESSOR
void narrow(const float* from, std::int64_t n, Half* to) {
  for (std::int64_t i = 0; i < n; ++i) {
    to[i] = from_float<Half>(from[i]);
  }
}

}  // namespace onnxplain::cpu

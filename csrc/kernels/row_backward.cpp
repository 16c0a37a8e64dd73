#include "kernels/row_backward.hpp"

#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {
namespace {

// Adds term(i) for each element of a row.
template <class Term>
ONNXPLAIN_INLINE inline float sum(std::int64_t size, const Term& term) {
  float lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (std::int64_t k = 0; k < kLanes; ++k) {
      lanes[k] += term(i + k);
    }
  }
  for (std::int64_t k = 0; i + k < size; ++k) {
    lanes[k] += term(i + k);
  }
  for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::int64_t k = 0; k < half; ++k) {
      lanes[k] += lanes[k + half];
    }
  }
  return lanes[0];
}

// One row; `scale_at` says what an element's gradient is multiplied by.
template <class Scale>
ONNXPLAIN_INLINE inline void norm_row(const Normalisation& norm, const float* x, const float* g,
                                      const Scale& scale_at, std::int64_t size, float* dx) {
  const auto count = static_cast<float>(size);
  const auto scaled = [=](std::int64_t i) ONNXPLAIN_INLINE { return g[i] * scale_at(i); };
  float mean = 0.0f;
  float shift = 0.0f;
  if (norm.centred) {
    mean = sum(size, [=](std::int64_t i) ONNXPLAIN_INLINE { return x[i]; }) / count;
    shift = sum(size, scaled) / count;
  }
  const float square =
      sum(size, [=](std::int64_t i) ONNXPLAIN_INLINE { return (x[i] - mean) * (x[i] - mean); }) /
      count;
  const float inverse = 1.0f / __builtin_sqrtf(square + norm.epsilon);
  if (norm.constant) {
    for (std::int64_t i = 0; i < size; ++i) {
      dx[i] = inverse * (scaled(i) - shift);
    }
    return;
  }
  const float along =
      sum(size,
          [=](std::int64_t i) ONNXPLAIN_INLINE { return scaled(i) * ((x[i] - mean) * inverse); }) /
      count;
  for (std::int64_t i = 0; i < size; ++i) {
    dx[i] = inverse * (scaled(i) - shift - (x[i] - mean) * inverse * along);
  }
}

}  // namespace

ONNXPLAIN_FOR_EACH_PROCESSOR
void softmax_backward(const float* y, const float* g, std::int64_t size, std::int64_t begin,
                      std::int64_t end, float* dx) {
  for (std::int64_t row = begin; row < end; ++row) {
    const float* yr = y + row * size;
    const float* gr = g + row * size;
    float* to = dx + row * size;
    const float shared = sum(size, [=](std::int64_t i) ONNXPLAIN_INLINE { return gr[i] * yr[i]; });
    for (std::int64_t i = 0; i < size; ++i) {
      to[i] = gr[i] * yr[i] - yr[i] * shared;
    }
  }
}

ONNXPLAIN_FOR_EACH_PROCESSOR
void norm_backward(const Normalisation& norm, const float* x, const float* g, const float* scale,
                   std::int64_t size, std::int64_t begin, std::int64_t end, float* dx) {
  for (std::int64_t row = begin; row < end; ++row) {
    const float* xr = x + row * size;
    const float* gr = g + row * size;
    float* to = dx + row * size;
    if (scale == nullptr) {
      norm_row(norm, xr, gr, [](std::int64_t) ONNXPLAIN_INLINE { return 1.0f; }, size, to);
    } else {
      norm_row(norm, xr, gr, [=](std::int64_t i) ONNXPLAIN_INLINE { return scale[i]; }, size, to);
    }
  }
}

}  // namespace onnxplain::cpu

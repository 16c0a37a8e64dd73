#include "kernels/row_backward.hpp"

#include <cstddef>
#include <vector>

#include "kernels/lanes.hpp"
#include "kernels/row_steps.hpp"
#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {
namespace {

// A row that one thread goes through.
struct Row {
  std::int64_t size;

  template <class Term>
  ONNXPLAIN_INLINE float sum(const Term& term) const {
    Lanes::Sum<float> made{Lanes{}};
    made.add(size, term);
    return made.total();
  }

  template <class Body>
  ONNXPLAIN_INLINE void each(const Body& body) const {
    Lanes{}.each(size, body);
  }
};

// Rows of float16 one by one: `body` makes one row of float32 of two.
template <class Body>
void widened(const Half* x, const Half* g, std::int64_t size, std::int64_t begin, std::int64_t end,
             Half* dx, const Body& body) {
  std::vector<float> memory(static_cast<std::size_t>(3 * size));
  float* xs = memory.data();
  float* gs = xs + size;
  float* made = gs + size;
  for (std::int64_t row = begin; row < end; ++row) {
    widen(x + row * size, size, xs);
    widen(g + row * size, size, gs);
    body(xs, gs, made);
    narrow(made, size, dx + row * size);
  }
}

}  // namespace

ONNXPLAIN_FOR_EACH_PROCESSOR
void softmax_backward(const float* y, const float* g, std::int64_t size, std::int64_t begin,
                      std::int64_t end, float* dx) {
  for (std::int64_t row = begin; row < end; ++row) {
    const float* gr = g + row * size;
    softmax_row(
        Row{size}, y + row * size, [=](std::int64_t i) ONNXPLAIN_INLINE { return gr[i]; },
        dx + row * size);
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
      norm_row(
          Row{size}, norm, xr, [=](std::int64_t i) ONNXPLAIN_INLINE { return gr[i]; }, size, to);
    } else {
      norm_row(
          Row{size}, norm, xr, [=](std::int64_t i) ONNXPLAIN_INLINE { return gr[i] * scale[i]; },
          size, to);
    }
  }
}

void softmax_backward(const Half* y, const Half* g, std::int64_t size, std::int64_t begin,
                      std::int64_t end, Half* dx) {
  widened(y, g, size, begin, end, dx, [=](const float* ys, const float* gs, float* made) {
    softmax_backward(ys, gs, size, 0, 1, made);
  });
}

void norm_backward(const Normalisation& norm, const Half* x, const Half* g, const float* scale,
                   std::int64_t size, std::int64_t begin, std::int64_t end, Half* dx) {
  widened(x, g, size, begin, end, dx, [&](const float* xs, const float* gs, float* made) {
    norm_backward(norm, xs, gs, scale, size, 0, 1, made);
  });
}

}  // namespace onnxplain::cpu

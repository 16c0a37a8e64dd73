// What is made of one row, whoever adds up its terms: a loop of the CPU in lanes, or as many
// threads of a GPU as there are lanes.
//
// A Row has `sum(term)`, which adds term(i) for all elements i, and `each(body)`, which calls
// body(i) for them, once.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/half.hpp"
#include "kernels/row_backward.hpp"
#include "onnxplain/processors.hpp"
#include "onnxplain/tensor_view.hpp"

namespace onnxplain {

// dx = y (g - sum(g y)); gradient(i) is g.
template <class Row, class T, class Gradient>
ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE inline void softmax_row(const Row& row, const T* y,
                                                               const Gradient& gradient, T* dx) {
  const float shared =
      row.sum([=](std::int64_t i) ONNXPLAIN_INLINE { return gradient(i) * to_float(y[i]); });
  row.each([=](std::int64_t i) ONNXPLAIN_INLINE {
    const float yi = to_float(y[i]);
    dx[i] = from_float<T>(gradient(i) * yi - yi * shared);
  });
}

// As Normalisation says; gradient(i) is g times the scale.
template <class Row, class T, class Gradient>
ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE inline void norm_row(const Row& row,
                                                            const Normalisation& norm, const T* x,
                                                            const Gradient& gradient,
                                                            std::int64_t size, T* dx) {
  const auto count = static_cast<float>(size);
  float mean = 0.0f;
  float shift = 0.0f;
  if (norm.centred) {
    mean = row.sum([=](std::int64_t i) ONNXPLAIN_INLINE { return to_float(x[i]); }) / count;
    shift = row.sum([=](std::int64_t i) ONNXPLAIN_INLINE { return gradient(i); }) / count;
  }
  const float square = row.sum([=](std::int64_t i) ONNXPLAIN_INLINE {
    const float centred = to_float(x[i]) - mean;
    return centred * centred;
  }) / count;
  const float inverse = 1.0f / sqrtf(square + norm.epsilon);
  if (norm.constant) {
    row.each([=](std::int64_t i)
                 ONNXPLAIN_INLINE { dx[i] = from_float<T>(inverse * (gradient(i) - shift)); });
    return;
  }
  const float along = row.sum([=](std::int64_t i) ONNXPLAIN_INLINE {
    return gradient(i) * ((to_float(x[i]) - mean) * inverse);
  }) / count;
  row.each([=](std::int64_t i) ONNXPLAIN_INLINE {
    dx[i] =
        from_float<T>(inverse * (gradient(i) - shift - (to_float(x[i]) - mean) * inverse * along));
  });
}

}  // namespace onnxplain

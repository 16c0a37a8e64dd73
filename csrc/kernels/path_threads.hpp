// The operations of path_batches.hpp, as a GPU's threads do them.
#pragma once

#include "kernels/path_batches.hpp"
#include "kernels/portions.hpp"
#include "onnxplain/normal.hpp"

namespace onnxplain {

// A column is one element of one example, a row one step.
template <class T>
ONNXPLAIN_HOST_DEVICE threads::Extent extent_of(const Interpolate<T>& op) {
  return {op.end.shape[0] * op.end.shape[1], op.alphas.shape[0]};
}

template <class T>
ONNXPLAIN_HOST_DEVICE void run_portion(const Interpolate<T>& op, const threads::Portion& portion) {
  const auto [columns, steps] = extent_of(op);
  for (std::int64_t i = portion.column; i < columns; i += portion.columns) {
    const std::int64_t n = i / op.end.shape[1];
    const std::int64_t d = i - n * op.end.shape[1];
    const T from = op.start.row(n)[d];
    const T to = op.end.row(n)[d];
    for (std::int64_t s = portion.row; s < steps; s += portion.rows) {
      op.out.data[s * columns + i] = interpolated_at(from, to, op.alphas[s]);
    }
  }
}

// A column is one number of the result.
template <class T>
ONNXPLAIN_HOST_DEVICE threads::Extent extent_of(const Between<T>& op) {
  return {op.out.size(), 1};
}

template <class T>
ONNXPLAIN_HOST_DEVICE void run_portion(const Between<T>& op, const threads::Portion& portion) {
  const std::int64_t columns = op.out.size();
  const std::int64_t each =
      columns / op.alphas.shape[0];  // there is a step where there are columns
  for (std::int64_t i = portion.column; i < columns; i += portion.columns) {
    op.out.data[i] = interpolated_at(op.start.data[i], op.end.data[i], op.alphas[i / each]);
  }
}

template <class T>
ONNXPLAIN_HOST_DEVICE threads::Extent extent_of(const TimesWay<T>& op) {
  return {op.out.size(), 1};
}

template <class T>
ONNXPLAIN_HOST_DEVICE void run_portion(const TimesWay<T>& op, const threads::Portion& portion) {
  const std::int64_t columns = op.out.size();
  for (std::int64_t i = portion.column; i < columns; i += portion.columns) {
    op.out.data[i] = op.values.data[i] * (op.end.data[i] - op.start.data[i]);
  }
}

// A column is one element, which one thread sums over the steps, in their order.
template <class Acc, class T>
ONNXPLAIN_HOST_DEVICE threads::Extent extent_of(const Accumulate<Acc, T>& op) {
  return {op.acc.size(), 1};
}

template <class Acc, class T>
ONNXPLAIN_HOST_DEVICE void run_portion(const Accumulate<Acc, T>& op,
                                       const threads::Portion& portion) {
  const std::int64_t columns = op.acc.size();
  const std::int64_t steps = op.weights.shape[0];
  for (std::int64_t i = portion.column; i < columns; i += portion.columns) {
    Acc sum = op.acc.data[i];
    for (std::int64_t s = 0; s < steps; ++s) {
      sum += op.weights[s] * static_cast<Acc>(op.grads.data[s * columns + i]);
    }
    op.acc.data[i] = sum;
  }
}

// A column is one Philox block of one example, which makes four normals; a row is one sample.
template <class T>
ONNXPLAIN_HOST_DEVICE threads::Extent extent_of(const Noise<T>& op) {
  const std::int64_t rows = op.x.shape[0];
  return {rows * ((op.x.shape[1] + 3) / 4), rows == 0 ? 0 : op.out.shape[0] / rows};
}

template <class T>
ONNXPLAIN_HOST_DEVICE void run_portion(const Noise<T>& op, const threads::Portion& portion) {
  const std::int64_t rows = op.x.shape[0];
  const std::int64_t cols = op.x.shape[1];
  const std::int64_t blocks = (cols + 3) / 4;
  const auto [columns, samples] = extent_of(op);
  for (std::int64_t i = portion.column; i < columns; i += portion.columns) {
    const std::int64_t n = i / blocks;
    const std::int64_t block = i - n * blocks;
    const T* x = op.x.row(n);
    for (std::int64_t s = portion.row; s < samples; s += portion.rows) {
      const PhiloxWords random = philox4x32(counter_of(op, s, n, block), op.seed);
      T z[4];
      box_muller(random.word[0], random.word[1], z[0], z[1]);
      box_muller(random.word[2], random.word[3], z[2], z[3]);
      T* out = op.out.row(s * rows + n);
      for (int k = 0; k < 4; ++k) {
        const std::int64_t d = 4 * block + k;
        if (d < cols) {
          out[d] = noisy_at(x[d], static_cast<T>(op.stdev[n]), z[k]);
        }
      }
    }
  }
}

}  // namespace onnxplain

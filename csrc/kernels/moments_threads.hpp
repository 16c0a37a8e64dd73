// The operations of moments.hpp, as a GPU's threads do them: a column is one element.
#pragma once

#include "kernels/moments.hpp"
#include "kernels/portions.hpp"

namespace onnxplain {

template <class T>
ONNXPLAIN_HOST_DEVICE threads::Extent extent_of(const Centre<T>& op) {
  return {op.out.shape[1], op.out.shape[0]};
}

template <class T>
ONNXPLAIN_HOST_DEVICE void run_portion(const Centre<T>& op, const threads::Portion& portion) {
  const auto [columns, rows] = extent_of(op);
  for (std::int64_t d = portion.column; d < columns; d += portion.columns) {
    const double first = op.first.data == nullptr ? 0.0 : op.first[d];
    for (std::int64_t s = portion.row; s < rows; s += portion.rows) {
      op.out.row(s)[d] = difference(op.samples.row(s)[d], first, false);
    }
  }
}

template <class T>
ONNXPLAIN_HOST_DEVICE threads::Extent extent_of(const AddPowers<T>& op) {
  return {op.samples.shape[1], 1};
}

template <class T>
ONNXPLAIN_HOST_DEVICE void run_portion(const AddPowers<T>& op, const threads::Portion& portion) {
  const std::int64_t columns = op.samples.shape[1];
  for (std::int64_t d = portion.column; d < columns; d += portion.columns) {
    const double first = op.first[d];
    double sums[kMostPowers] = {};
    for (std::int64_t s = 0; s < op.samples.shape[0]; ++s) {
      const double own = difference(op.samples.row(s)[d], first, op.squared);
      double power = own;
      for (int k = 0; k < kMostPowers; ++k) {  // of known length, so that sums are in registers
        sums[k] += power;
        power *= own;
      }
    }
    for (std::int64_t k = 0; k < op.sums.shape[0]; ++k) {
      op.sums.row(k)[d] += sums[k];
    }
  }
}

}  // namespace onnxplain

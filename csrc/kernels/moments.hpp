// Sums of powers of samples, from which their moments are made.
#pragma once

#include <cstdint>

#include "onnxplain/tensor_view.hpp"

#ifdef ONNXPLAIN_WITH_CUDA
#include <cuda_runtime_api.h>
#endif

namespace onnxplain {

// Powers that are summed at most.
inline constexpr std::int64_t kMostPowers = 4;

// out[s, d] = samples[s, d] - first[d], in double; first may have no data, and is zero then. (On
// the host NumPy does it.)
template <class T>
struct Centre {
  Matrix<const T> samples;     // [S, D]
  Vector<const double> first;  // [D]
  Matrix<double> out;          // [S, D]
};

// sums[k, d] += sum over s of b^(k + 1), with b the difference between samples[s, d] and first[d],
// or between their squares. The terms of one call are added up, in the order of s, before they are
// added to the sums.
template <class T>
struct AddPowers {
  Matrix<double> sums;         // [powers, D], at most kMostPowers
  Vector<const double> first;  // [D]
  Matrix<const T> samples;     // [S, D]
  bool squared;
};

// What differs of one sample.
template <class T>
ONNXPLAIN_HOST_DEVICE inline double difference(T sample, double first, bool squared) {
  const double value = static_cast<double>(sample);
  return squared ? value * value - first * first : value - first;
}

namespace cpu {
template <class T>
void add_powers(const AddPowers<T>& op);
}  // namespace cpu

#ifdef ONNXPLAIN_WITH_CUDA
// These start work on a stream and return the status of the launch, which the caller must check.
namespace cuda {
template <class T>
[[nodiscard]] cudaError_t centre(const Centre<T>& op, cudaStream_t stream);
template <class T>
[[nodiscard]] cudaError_t add_powers(const AddPowers<T>& op, cudaStream_t stream);
}  // namespace cuda
#endif

}  // namespace onnxplain

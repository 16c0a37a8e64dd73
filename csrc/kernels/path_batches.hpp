// Batches along a path and their weighted sums, for integrated gradients, SmoothGrad and their kin.
//
// Each operation is one struct of views. The same struct goes to onnxplain::cpu and to
// onnxplain::cuda, instantiated for float and double. Rows of a batch of S steps are ordered step
// first: row s * N + n is example n at step s.
#pragma once

#include <cstdint>

#include "onnxplain/normal.hpp"
#include "onnxplain/processors.hpp"
#include "onnxplain/tensor_view.hpp"

#ifdef ONNXPLAIN_WITH_CUDA
#include <cuda_runtime_api.h>
#endif

namespace onnxplain {

// out[s * N + n, d] = start[n, d] + alphas[s] * (end[n, d] - start[n, d])
template <class T>
struct Interpolate {
  Matrix<const T> start;   // [N, D]; the row stride may be zero
  Matrix<const T> end;     // [N, D]; the row stride may be zero
  Vector<const T> alphas;  // [S]
  Matrix<T> out;           // [S * N, D]
};

// acc[n, d] += sum over s of weights[s] * grads[s * N + n, d], in the order of s and in the type
// of acc, so that splitting the steps over several calls leaves every bit as it was.
template <class Acc, class T>
struct Accumulate {
  Matrix<Acc> acc;            // [N, D]
  Matrix<const T> grads;      // [S * N, D]
  Vector<const Acc> weights;  // [S], one behind the other
};

// out[s * N + n, d] = x[n, d] + stdev[n] * z, with z the standard normal of word d % 4 of the
// Philox block whose counter is (d / 4, substream, first_row + n, first_sample + s), or of that of
// the first row for all; all in T.
template <class T>
struct Noise {
  Matrix<const T> x;           // [N, D]
  Vector<const double> stdev;  // [N]; the stride may be zero
  Matrix<T> out;               // [S * N, D]
  std::uint64_t seed;
  std::uint32_t first_sample;
  std::uint32_t first_row;
  std::uint32_t substream;
  bool alike = false;  // whether all rows get the numbers of the first
};

// out[s * N + n, d] = start[s * N + n, d] + alphas[s] * (end[s * N + n, d] - start[s * N + n, d]),
// for a GPU: each step has paths of its own. All numbers lie one behind the other.
template <class T>
struct Between {
  Matrix<const T> start;   // [S * N, D]
  Matrix<const T> end;     // [S * N, D]
  Vector<const T> alphas;  // [S]
  Matrix<T> out;           // [S * N, D]
};

// out[r, d] = values[r, d] * (end[r, d] - start[r, d]), for a GPU.
template <class T>
struct TimesWay {
  Matrix<const T> values;  // [R, D]
  Matrix<const T> start;   // [R, D]
  Matrix<const T> end;     // [R, D]
  Matrix<T> out;           // [R, D]
};

// The arithmetic of one element, whoever loops over them.

template <class T>
ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE inline T interpolated_at(T from, T to, T alpha) {
  return from + alpha * (to - from);
}

template <class T>
ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE inline T noisy_at(T x, T stdev, T normal) {
  return x + stdev * normal;
}

// The counter of one block of four normals: those of example n in sample s.
template <class T>
ONNXPLAIN_HOST_DEVICE inline PhiloxWords counter_of(const Noise<T>& op, std::int64_t s,
                                                    std::int64_t n, std::int64_t block) {
  return {{static_cast<std::uint32_t>(block), op.substream,
           op.first_row + (op.alike ? 0U : static_cast<std::uint32_t>(n)),
           op.first_sample + static_cast<std::uint32_t>(s)}};
}

namespace cpu {
template <class T>
void interpolate(const Interpolate<T>& op);
template <class Acc, class T>
void accumulate(const Accumulate<Acc, T>& op);
template <class T>
void noise(const Noise<T>& op);
}  // namespace cpu

#ifdef ONNXPLAIN_WITH_CUDA
// These start work on a stream and return the status of the launch, which the caller must check.
namespace cuda {
template <class T>
[[nodiscard]] cudaError_t interpolate(const Interpolate<T>& op, cudaStream_t stream);
template <class Acc, class T>
[[nodiscard]] cudaError_t accumulate(const Accumulate<Acc, T>& op, cudaStream_t stream);
template <class T>
[[nodiscard]] cudaError_t noise(const Noise<T>& op, cudaStream_t stream);
template <class T>
[[nodiscard]] cudaError_t between(const Between<T>& op, cudaStream_t stream);
template <class T>
[[nodiscard]] cudaError_t times_way(const TimesWay<T>& op, cudaStream_t stream);
}  // namespace cuda
#endif

}  // namespace onnxplain

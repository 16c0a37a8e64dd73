// The walk back through Gelu as a GPU's threads run it: a few elements at once. Nothing here needs
// a GPU.
#pragma once

#include <cstdint>

#include "kernels/elementwise_threads.hpp"
#include "kernels/gelu_steps.hpp"

namespace onnxplain::threads {

template <class T>
struct GeluLaunch {
  Input<T> x;
  Input<T> g;  // what arrives, which may be repeated
  std::int64_t length[kMostAxes];
  float factor;
  bool by_tanh;
  T* out;
  bool aligned;
  std::int64_t total;

  bool is_small() const { return total <= kMostIn32; }
  template <class Index, int Width>
  ONNXPLAIN_HOST_DEVICE void run(std::int64_t element, int count) const;
};

template <class T>
template <class Index, int Width>
ONNXPLAIN_HOST_DEVICE inline void GeluLaunch<T>::run(std::int64_t element, int count) const {
  const Pack<Width> values = read<Index, Width>(x, length, element, count);
  const Pack<Width> arriving = read<Index, Width>(g, length, element, count);
  Pack<Width> made{};
  ONNXPLAIN_UNROLL
  for (int i = 0; i < Width; ++i) {
    made.at[i] = by_tanh ? gelu_step<true>(factor, values.at[i], arriving.at[i])
                         : gelu_step<false>(factor, values.at[i], arriving.at[i]);
  }
  write(out, aligned, element, count, made);
}

}  // namespace onnxplain::threads

#ifdef ONNXPLAIN_WITH_CUDA
namespace onnxplain::cuda {
// Starts work on a stream and returns the status of the launch, which the caller must check.
template <class T>
[[nodiscard]] cudaError_t gelu_backward(const threads::GeluLaunch<T>& launch, cudaStream_t stream);
}  // namespace onnxplain::cuda
#endif

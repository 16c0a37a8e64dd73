#include "kernels/element_launch.cuh"
#include "kernels/gelu_threads.hpp"

namespace onnxplain::cuda {

template <class T>
cudaError_t gelu_backward(const threads::GeluLaunch<T>& launch, cudaStream_t stream) {
  return over_elements(launch, stream);
}

template cudaError_t gelu_backward(const threads::GeluLaunch<float>&, cudaStream_t);
template cudaError_t gelu_backward(const threads::GeluLaunch<Half>&, cudaStream_t);

}  // namespace onnxplain::cuda

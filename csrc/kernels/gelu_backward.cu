#include "kernels/element_launch.cuh"
#include "kernels/gelu_threads.hpp"

namespace onnxplain::cuda {

cudaError_t gelu_backward(const threads::GeluLaunch& launch, cudaStream_t stream) {
  return over_elements(launch, stream);
}

}  // namespace onnxplain::cuda

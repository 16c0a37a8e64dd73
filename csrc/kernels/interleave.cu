#include "kernels/element_launch.cuh"
#include "kernels/interleave_threads.hpp"

namespace onnxplain::cuda {

cudaError_t interleave(const threads::InterleaveLaunch& launch, cudaStream_t stream) {
  return over_elements(launch, stream);
}

}  // namespace onnxplain::cuda

#include "kernels/element_launch.cuh"
#include "kernels/surround_threads.hpp"

namespace onnxplain::cuda {

cudaError_t surround(const threads::SurroundLaunch& launch, cudaStream_t stream) {
  return over_elements(launch, stream);
}

}  // namespace onnxplain::cuda

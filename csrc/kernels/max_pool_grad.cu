#include "kernels/element_launch.cuh"
#include "kernels/max_pool_threads.hpp"

namespace onnxplain::cuda {

cudaError_t max_pool_grad(const threads::PoolLaunch& launch, cudaStream_t stream) {
  return over_elements(launch, stream);
}

}  // namespace onnxplain::cuda

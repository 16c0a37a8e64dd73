#include "kernels/element_launch.cuh"
#include "kernels/max_pool_threads.hpp"

namespace onnxplain::cuda {

template <class T>
cudaError_t max_pool_grad(const threads::PoolLaunch<T>& launch, cudaStream_t stream) {
  return over_elements(launch, stream);
}

template cudaError_t max_pool_grad(const threads::PoolLaunch<float>&, cudaStream_t);
template cudaError_t max_pool_grad(const threads::PoolLaunch<Half>&, cudaStream_t);

}  // namespace onnxplain::cuda

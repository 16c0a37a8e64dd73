#include "kernels/element_launch.cuh"
#include "kernels/interleave_threads.hpp"

namespace onnxplain::cuda {

template <class T>
cudaError_t interleave(const threads::InterleaveLaunch<T>& launch, cudaStream_t stream) {
  return over_elements(launch, stream);
}

template cudaError_t interleave(const threads::InterleaveLaunch<float>&, cudaStream_t);
template cudaError_t interleave(const threads::InterleaveLaunch<Half>&, cudaStream_t);

}  // namespace onnxplain::cuda

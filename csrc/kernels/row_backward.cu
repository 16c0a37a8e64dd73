#include "kernels/row_launch.cuh"
#include "kernels/row_threads.hpp"

namespace onnxplain::cuda {

template <class T>
cudaError_t softmax_backward(const threads::SoftmaxLaunch<T>& launch, cudaStream_t stream) {
  return over_rows(launch, stream);
}

template <class T>
cudaError_t norm_backward(const threads::NormLaunch<T>& launch, cudaStream_t stream) {
  return over_rows(launch, stream);
}

template cudaError_t softmax_backward(const threads::SoftmaxLaunch<float>&, cudaStream_t);
template cudaError_t softmax_backward(const threads::SoftmaxLaunch<Half>&, cudaStream_t);
template cudaError_t norm_backward(const threads::NormLaunch<float>&, cudaStream_t);
template cudaError_t norm_backward(const threads::NormLaunch<Half>&, cudaStream_t);

}  // namespace onnxplain::cuda

#include "kernels/stream_memory.cuh"
#include "kernels/sum_copies.hpp"
#include "kernels/sums.cuh"

namespace onnxplain::cuda {

template <class T>
cudaError_t sum_copies(const threads::SumLaunch<T>& launch, T* to, cudaStream_t stream) {
  if (launch.total == 0) {
    return cudaSuccess;
  }
  StreamMemory memory(launch.memory() * sizeof(double), stream);
  if (memory.status() != cudaSuccess) {
    return memory.status();
  }
  const cudaError_t status =
      start_sums(launch, memory.data<double>(), threads::SumTarget<T>{nullptr, to}, stream);
  return status != cudaSuccess ? status : memory.release();
}

template cudaError_t sum_copies(const threads::SumLaunch<float>&, float*, cudaStream_t);
template cudaError_t sum_copies(const threads::SumLaunch<Half>&, Half*, cudaStream_t);

}  // namespace onnxplain::cuda

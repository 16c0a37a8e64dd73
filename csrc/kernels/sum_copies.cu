#include "kernels/stream_memory.cuh"
#include "kernels/sum_copies.hpp"
#include "kernels/sums.cuh"

namespace onnxplain::cuda {

cudaError_t sum_copies(const threads::SumLaunch& launch, float* to, cudaStream_t stream) {
  if (launch.total == 0) {
    return cudaSuccess;
  }
  StreamMemory memory(launch.memory() * sizeof(double), stream);
  if (memory.status() != cudaSuccess) {
    return memory.status();
  }
  const cudaError_t status = start_sums(launch, memory.data<double>(), {nullptr, to}, stream);
  return status != cudaSuccess ? status : memory.release();
}

}  // namespace onnxplain::cuda

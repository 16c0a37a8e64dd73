// What the CUDA launchers share: grid sizes, the grid-stride loop, and the kernel of all operations
// whose threads share columns and rows.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>

#include "kernels/portions.hpp"

namespace onnxplain::cuda {

inline constexpr int kThreads = 256;

// Enough blocks to fill any GPU; the kernels loop where there are more elements than threads.
inline unsigned int blocks_for(std::int64_t items, int threads = kThreads) {
  const std::int64_t blocks = (items + threads - 1) / threads;
  return static_cast<unsigned int>(std::min<std::int64_t>(blocks, 65536));
}

__device__ inline std::int64_t first_item() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ inline std::int64_t item_stride() {
  return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}

// Threads that fill any GPU; with fewer columns, some share one.
inline constexpr std::int64_t kEnough = std::int64_t{1} << 18;
// What CUDA allows.
inline constexpr std::int64_t kMaxGridHeight = 65535;

template <class Op>
__global__ void __launch_bounds__(kThreads) shared_kernel(const __grid_constant__ Op op) {
  run_portion(op, threads::Portion{first_item(), item_stride(), blockIdx.y, gridDim.y});
}

// Starts an operation whose threads are described in a header of their own.
template <class Op>
[[nodiscard]] cudaError_t start_shared(const Op& op, cudaStream_t stream) {
  const threads::Extent extent = extent_of(op);
  if (extent.columns == 0 || extent.rows == 0) {
    return cudaSuccess;
  }
  const unsigned int width = blocks_for(extent.columns);
  const std::int64_t several = std::max<std::int64_t>(1, kEnough / kThreads / width);
  const dim3 grid(width,
                  static_cast<unsigned int>(std::min({extent.rows, several, kMaxGridHeight})));
  shared_kernel<<<grid, kThreads, 0, stream>>>(op);
  return cudaGetLastError();
}

}  // namespace onnxplain::cuda

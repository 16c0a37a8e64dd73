// What the CUDA launchers share: grid sizes and the grid-stride loop.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>

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

}  // namespace onnxplain::cuda

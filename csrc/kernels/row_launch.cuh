// How work on rows is started, as many threads for each as sums have lanes.
//
// A launch is a structure that goes to the kernel with its parameters. It has `rows`, how many
// there are, and run_row(lanes, row), which makes one; `lanes` is one of its threads.
#pragma once

#include "kernels/lanes.cuh"
#include "kernels/launch.cuh"

namespace onnxplain::cuda {

inline constexpr int kRowThreads = 128;
static_assert(kRowThreads % kTogether == 0);

template <class Launch>
__global__ void __launch_bounds__(kRowThreads) rows_kernel(const __grid_constant__ Launch launch) {
  const Lanes lanes;
  for (std::int64_t row = first_item() / kTogether; row < launch.rows;
       row += item_stride() / kTogether) {
    launch.run_row(lanes, row);
  }
}

template <class Launch>
[[nodiscard]] cudaError_t over_rows(const Launch& launch, cudaStream_t stream) {
  if (launch.rows == 0) {
    return cudaSuccess;
  }
  const unsigned int blocks = blocks_for(launch.rows, kRowThreads / kTogether);
  rows_kernel<Launch><<<blocks, kRowThreads, 0, stream>>>(launch);
  return cudaGetLastError();
}

}  // namespace onnxplain::cuda

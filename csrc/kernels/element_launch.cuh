// How work on the elements of a result is started, a few of them in each thread at once.
//
// A launch is a structure that goes to the kernel with its parameters. It has `total`, the number
// of elements; `is_small()`, whether all places fit 32 bits, in which division is far cheaper; and
// run<Index, Width>(element, count), which makes `count` elements, from `element` on.
#pragma once

#include "kernels/elementwise_threads.hpp"
#include "kernels/launch.cuh"

namespace onnxplain::cuda {

template <class Index, int Width, class Launch>
__global__ void __launch_bounds__(kThreads) elements_kernel(const __grid_constant__ Launch launch) {
  for (std::int64_t pack = first_item(); pack * Width < launch.total; pack += item_stride()) {
    const std::int64_t rest = launch.total - pack * Width;
    launch.template run<Index, Width>(pack * Width, rest < Width ? static_cast<int>(rest) : Width);
  }
}

template <class Launch>
[[nodiscard]] cudaError_t over_elements(const Launch& launch, cudaStream_t stream) {
  constexpr int kWidth = threads::kWidth;
  if (launch.total == 0) {
    return cudaSuccess;
  }
  const unsigned int blocks = blocks_for(launch.total / kWidth + (launch.total % kWidth != 0));
  if (launch.is_small()) {
    elements_kernel<std::uint32_t, kWidth, Launch><<<blocks, kThreads, 0, stream>>>(launch);
  } else {
    elements_kernel<std::uint64_t, kWidth, Launch><<<blocks, kThreads, 0, stream>>>(launch);
  }
  return cudaGetLastError();
}

}  // namespace onnxplain::cuda

// In place of csrc/kernels/element_launch.cuh: threads that take some elements each, one after the
// other on the host, from the last to the first.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/elementwise_threads.hpp"

namespace onnxplain::cuda {

template <class Launch>
[[nodiscard]] cudaError_t over_elements(const Launch& launch, cudaStream_t) {
  if (launch.total == 0) {
    return cudaSuccess;
  }
  return host_cuda::later([launch] {
    constexpr int kWidth = threads::kWidth;
    for (std::int64_t pack = (launch.total - 1) / kWidth; pack >= 0; --pack) {
      const std::int64_t rest = launch.total - pack * kWidth;
      const int count = rest < kWidth ? static_cast<int>(rest) : kWidth;
      if (launch.is_small()) {
        launch.template run<std::uint32_t, kWidth>(pack * kWidth, count);
      } else {
        launch.template run<std::uint64_t, kWidth>(pack * kWidth, count);
      }
    }
  });
}

}  // namespace onnxplain::cuda

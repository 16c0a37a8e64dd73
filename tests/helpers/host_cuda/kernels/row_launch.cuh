// In place of csrc/kernels/row_launch.cuh: rows one after the other on the host, from the last to
// the first, all lanes of one at once.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/lanes.hpp"

namespace onnxplain::cuda {

template <class Launch>
[[nodiscard]] cudaError_t over_rows(const Launch& launch, cudaStream_t) {
  return host_cuda::later([launch] {
    for (std::int64_t row = launch.rows - 1; row >= 0; --row) {
      launch.run_row(cpu::Lanes{}, row);
    }
  });
}

}  // namespace onnxplain::cuda

// Starts the rounds of long sums (sum_threads.hpp).
#pragma once

#include "kernels/lanes.cuh"
#include "kernels/launch.cuh"
#include "kernels/sum_threads.hpp"

namespace onnxplain::cuda {

template <bool kAlong, bool kSizes, class T>
__global__ void __launch_bounds__(kThreads)
    pieces_kernel(const __grid_constant__ threads::SumLaunch<T> launch, std::int64_t pieces,
                  threads::SumTarget<T> target) {
  constexpr int kEach = kAlong ? kTogether : 1;
  const Lanes lanes;
  const std::int64_t items = pieces * launch.total;
  for (std::int64_t item = first_item() / kEach; item < items; item += item_stride() / kEach) {
    const std::int64_t piece = item / launch.total;
    const std::int64_t which = item - piece * launch.total;
    threads::SumOf<kSizes> sum;
    if constexpr (kAlong) {
      sum = threads::along_piece<kSizes>(launch, lanes, piece, which);
    } else {
      sum = threads::across_piece<kSizes>(launch, piece, which);
    }
    if (!kAlong || lanes.is_first()) {
      const std::int64_t where = piece * launch.columns() + which;
      target.put(where, sum.value);
      if constexpr (kSizes) {
        target.put(where + launch.total, sum.size);
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    fold_kernel(const double* sums, std::int64_t count, std::int64_t columns,
                threads::SumTarget<T> target) {
  const std::int64_t items = parts_of(count, kFan) * columns;
  for (std::int64_t item = first_item(); item < items; item += item_stride()) {
    const std::int64_t group = item / columns;
    target.put(item, threads::folded(sums, count, columns, group, item - group * columns));
  }
}

// Starts all; `memory` has room for what the launch says.
template <class T>
[[nodiscard]] cudaError_t start_sums(const threads::SumLaunch<T>& launch, double* memory,
                                     const threads::SumTarget<T>& target, cudaStream_t stream) {
  const auto pieces = [=](const threads::SumLaunch<T>& sums, const threads::SumTarget<T>& to) {
    const std::int64_t count = sums.cut.pieces();
    const auto kernel =
        sums.along ? (sums.sizes ? pieces_kernel<true, true, T> : pieces_kernel<true, false, T>)
                   : (sums.sizes ? pieces_kernel<false, true, T> : pieces_kernel<false, false, T>);
    const int together = sums.along ? kTogether : 1;
    const unsigned int blocks = blocks_for(count * sums.total, kThreads / together);
    kernel<<<blocks, kThreads, 0, stream>>>(sums, count, to);
    return cudaGetLastError();
  };
  const auto fold = [=](const double* sums, std::int64_t count, std::int64_t columns,
                        const threads::SumTarget<T>& to) {
    fold_kernel<<<blocks_for(parts_of(count, kFan) * columns), kThreads, 0, stream>>>(sums, count,
                                                                                      columns, to);
    return cudaGetLastError();
  };
  return threads::in_rounds(launch, memory, target, cudaSuccess, pieces, fold);
}

}  // namespace onnxplain::cuda

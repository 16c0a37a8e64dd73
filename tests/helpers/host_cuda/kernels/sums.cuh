// In place of csrc/kernels/sums.cuh: pieces of sums, and sums of pieces, one after the other on the
// host, from the last to the first.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>

#include "kernels/lanes.hpp"
#include "kernels/sum_threads.hpp"

namespace onnxplain::cuda {

template <bool kSizes, class T>
void make_piece(const threads::SumLaunch<T>& sums, std::int64_t piece, std::int64_t which,
                const threads::SumTarget<T>& to) {
  const threads::SumOf<kSizes> sum =
      sums.along ? threads::along_piece<kSizes>(sums, cpu::Lanes{}, piece, which)
                 : threads::across_piece<kSizes>(sums, piece, which);
  const std::int64_t where = piece * sums.columns() + which;
  to.put(where, sum.value);
  if constexpr (kSizes) {
    to.put(where + sums.total, sum.size);
  }
}

template <class T>
[[nodiscard]] cudaError_t start_sums(const threads::SumLaunch<T>& launch, double* memory,
                                     const threads::SumTarget<T>& target, cudaStream_t) {
  const auto pieces = [](const threads::SumLaunch<T>& sums, const threads::SumTarget<T>& to) {
    return host_cuda::later([sums, to] {
      for (std::int64_t item = sums.cut.pieces() * sums.total - 1; item >= 0; --item) {
        const std::int64_t piece = item / sums.total;
        sums.sizes ? make_piece<true>(sums, piece, item % sums.total, to)
                   : make_piece<false>(sums, piece, item % sums.total, to);
      }
    });
  };
  const auto fold = [](const double* sums, std::int64_t count, std::int64_t columns,
                       const threads::SumTarget<T>& to) {
    return host_cuda::later([=] {
      for (std::int64_t item = parts_of(count, kFan) * columns - 1; item >= 0; --item) {
        to.put(item, threads::folded(sums, count, columns, item / columns, item % columns));
      }
    });
  };
  return threads::in_rounds(launch, memory, target, cudaSuccess, pieces, fold);
}

}  // namespace onnxplain::cuda

#include "kernels/elementwise_threads.hpp"
#include "kernels/lanes.cuh"
#include "kernels/launch.cuh"
#include "kernels/row_backward.hpp"
#include "kernels/row_steps.hpp"

namespace onnxplain::cuda {
namespace {

constexpr int kRowThreads = 128;
static_assert(kRowThreads % kTogether == 0);

// A row's sums are made by as many threads as the CPU has lanes, in the same order: the same bits.
struct Row {
  std::int64_t size;
  Lanes lanes;

  template <class Term>
  __device__ float sum(const Term& term) const {
    Lanes::Sum<float> made(lanes);
    made.add(size, term);
    return made.total();
  }

  template <class Body>
  __device__ void each(const Body& body) const {
    lanes.each(size, body);
  }
};

__device__ float arriving(const RowLaunch& launch, std::int64_t element) {
  if (launch.rank == 0) {
    return launch.g[element];
  }
  std::uint64_t within = 0;
  return launch.g[threads::offset_of<std::uint64_t>(launch.length, launch.rank, launch.repeated,
                                                    static_cast<std::uint64_t>(element), within)];
}

template <bool kIsSoftmax>
__global__ void __launch_bounds__(kRowThreads)
    row_kernel(const __grid_constant__ RowLaunch launch) {
  const Row of{launch.size, Lanes()};
  for (std::int64_t row = first_item() / kTogether; row < launch.rows;
       row += item_stride() / kTogether) {
    const std::int64_t begin = row * launch.size;
    const float* x = launch.x + begin;
    float* dx = launch.dx + begin;
    if constexpr (kIsSoftmax) {
      softmax_row(of, x, [&](std::int64_t i) { return arriving(launch, begin + i); }, dx);
    } else {
      const float* scale = launch.scale;
      norm_row(
          of, launch.norm, x,
          [&](std::int64_t i) {
            const float g = arriving(launch, begin + i);
            return g * (scale == nullptr ? 1.0f : scale[launch.one_scale ? 0 : i]);
          },
          launch.size, dx);
    }
  }
}

template <bool kIsSoftmax>
cudaError_t start(const RowLaunch& launch, cudaStream_t stream) {
  if (launch.rows == 0 || launch.size == 0) {
    return cudaSuccess;
  }
  const unsigned int blocks = blocks_for(launch.rows, kRowThreads / kTogether);
  row_kernel<kIsSoftmax><<<blocks, kRowThreads, 0, stream>>>(launch);
  return cudaGetLastError();
}

}  // namespace

cudaError_t softmax_backward(const RowLaunch& launch, cudaStream_t stream) {
  return start<true>(launch, stream);
}

cudaError_t norm_backward(const RowLaunch& launch, cudaStream_t stream) {
  return start<false>(launch, stream);
}

}  // namespace onnxplain::cuda

#include "kernels/elementwise_threads.hpp"
#include "kernels/launch.cuh"
#include "kernels/row_backward.hpp"
#include "kernels/row_steps.hpp"

namespace onnxplain::cuda {
namespace {

// A row's sums are made by as many threads as the CPU has lanes, in the same order: the same bits.
constexpr int kLanes = static_cast<int>(cpu::kLanes);
constexpr int kRowThreads = 128;
static_assert(32 % kLanes == 0 && kRowThreads % kLanes == 0);

struct Row {
  std::int64_t size;
  int lane;
  unsigned int together;  // the threads of this row

  template <class Term>
  __device__ float sum(const Term& term) const {
    float total = 0.0f;
    for (std::int64_t i = lane; i < size; i += kLanes) {
      total += term(i);
    }
    for (int half = kLanes / 2; half > 0; half /= 2) {
      total += __shfl_down_sync(together, total, half, kLanes);
    }
    return __shfl_sync(together, total, 0, kLanes);
  }

  template <class Body>
  __device__ void each(const Body& body) const {
    for (std::int64_t i = lane; i < size; i += kLanes) {
      body(i);
    }
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
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const unsigned int first = threadIdx.x % 32 / kLanes * kLanes;
  const Row of{launch.size, lane, ((1u << kLanes) - 1u) << first};
  for (std::int64_t row = first_item() / kLanes; row < launch.rows; row += item_stride() / kLanes) {
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
  const unsigned int blocks = blocks_for(launch.rows, kRowThreads / kLanes);
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

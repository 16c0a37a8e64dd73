#include <limits>

#include "kernels/elementwise_threads.hpp"
#include "kernels/launch.cuh"

namespace onnxplain::cuda {
namespace {

// Few, so that many blocks with their places fit a multiprocessor.
constexpr int kElementThreads = 128;
// What every GPU gives a block without being asked.
constexpr std::size_t kSharedBytes = 48 * 1024;
static_assert(threads::kMostPlaces * sizeof(threads::Pack<1>) * kElementThreads <= kSharedBytes);

template <class Index, int Width, class T>
__global__ void __launch_bounds__(kElementThreads)
    elementwise_kernel(const __grid_constant__ threads::Launch<T> launch) {
  extern __shared__ __align__(16) unsigned char shared[];
  auto* places = reinterpret_cast<threads::Pack<Width>*>(shared) + threadIdx.x;
  for (std::int64_t pack = first_item(); pack * Width < launch.total; pack += item_stride()) {
    const std::int64_t rest = launch.total - pack * Width;
    const int count = rest < Width ? static_cast<int>(rest) : Width;
    threads::run<Index, Width>(launch, pack * Width, count, places, kElementThreads);
  }
}

template <class Index, int Width, class T>
void start(const threads::Launch<T>& launch, cudaStream_t stream) {
  const std::size_t bytes = static_cast<std::size_t>(launch.program.places) *
                            sizeof(threads::Pack<Width>) * kElementThreads;
  const std::int64_t packs = launch.total / Width + (launch.total % Width != 0);
  elementwise_kernel<Index, Width, T>
      <<<blocks_for(packs, kElementThreads), kElementThreads, bytes, stream>>>(launch);
}

}  // namespace

template <class T>
cudaError_t elementwise(const threads::Launch<T>& launch, cudaStream_t stream) {
  if (launch.total == 0) {
    return cudaSuccess;
  }
  constexpr std::size_t kPlace = sizeof(threads::Pack<threads::kWidth>) * kElementThreads;
  if (static_cast<std::size_t>(launch.program.places) * kPlace > kSharedBytes) {
    start<std::uint64_t, 1>(launch, stream);
  } else if (launch.total > std::numeric_limits<std::int32_t>::max()) {
    start<std::uint64_t, threads::kWidth>(launch, stream);
  } else {  // division is far cheaper so
    start<std::uint32_t, threads::kWidth>(launch, stream);
  }
  return cudaGetLastError();
}

template cudaError_t elementwise(const threads::Launch<float>&, cudaStream_t);
template cudaError_t elementwise(const threads::Launch<Half>&, cudaStream_t);

}  // namespace onnxplain::cuda

#include "kernels/element_launch.cuh"
#include "kernels/give_all_threads.hpp"
#include "kernels/lanes.cuh"
#include "kernels/stream_memory.cuh"
#include "kernels/sums.cuh"

namespace onnxplain::cuda {
namespace {

__global__ void __launch_bounds__(kThreads)
    rows_kernel(const __grid_constant__ threads::GiveLaunch launch, std::int64_t count) {
  const Lanes lanes;
  for (std::int64_t row = first_item() / kTogether; row < count; row += item_stride() / kTogether) {
    threads::give_row(launch, lanes, row);
  }
}

// Of `count` rows: sums of relevance, of what inputs get, and of its sizes, one behind the other.
__global__ void __launch_bounds__(kThreads)
    shares_kernel(const double* sums, std::int64_t count, std::int64_t below, Share* shares) {
  for (std::int64_t row = first_item(); row < count; row += item_stride()) {
    shares[row] = Share::of({sums[row], sums[count + row], sums[2 * count + row]}, below);
  }
}

cudaError_t in_steps(const threads::GiveLaunch& launch, cudaStream_t stream) {
  const std::int64_t count = launch.count();
  const auto rows = static_cast<std::size_t>(count);
  const threads::SumLaunch above =
      threads::sums_of(launch.relevance, launch.rows, launch.rows.above, false);
  const threads::SumLaunch below =
      threads::sums_of(launch.given, launch.rows, launch.rows.below, true);
  const std::size_t rounds = std::max(above.memory(), below.memory());
  StreamMemory memory((rounds + 3 * rows) * sizeof(double) + rows * sizeof(Share), stream);
  cudaError_t status = memory.status();
  if (status != cudaSuccess) {
    return status;
  }
  auto* sums = memory.data<double>();
  double* totals = sums + rounds;
  auto* shares = reinterpret_cast<Share*>(totals + 3 * rows);
  status = start_sums(above, sums, {totals, nullptr}, stream);
  if (status == cudaSuccess) {
    status = start_sums(below, sums, {totals + rows, nullptr}, stream);
  }
  if (status == cudaSuccess) {
    shares_kernel<<<blocks_for(count), kThreads, 0, stream>>>(totals, count, launch.rows.below,
                                                              shares);
    status = cudaGetLastError();
  }
  if (status == cudaSuccess) {
    status = over_elements(threads::shared_launch(launch, shares), stream);
  }
  return status != cudaSuccess ? status : memory.release();
}

}  // namespace

cudaError_t give_all(const threads::GiveLaunch& launch, cudaStream_t stream) {
  if (launch.count() == 0 || launch.rows.below == 0) {
    return cudaSuccess;
  }
  if (!launch.is_short()) {
    return in_steps(launch, stream);
  }
  rows_kernel<<<blocks_for(launch.count(), kThreads / kTogether), kThreads, 0, stream>>>(
      launch, launch.count());
  return cudaGetLastError();
}

}  // namespace onnxplain::cuda

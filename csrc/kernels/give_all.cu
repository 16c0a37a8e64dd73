#include "kernels/element_launch.cuh"
#include "kernels/give_all_threads.hpp"
#include "kernels/row_launch.cuh"
#include "kernels/stream_memory.cuh"
#include "kernels/sums.cuh"

namespace onnxplain::cuda {
namespace {

template <class T>
cudaError_t in_steps(const threads::GiveLaunch<T>& launch, cudaStream_t stream) {
  const std::int64_t count = launch.count();
  const auto rows = static_cast<std::size_t>(count);
  const threads::SumLaunch<T> above =
      threads::sums_of(launch.relevance, launch.shape, launch.shape.above, false);
  const threads::SumLaunch<T> below =
      threads::sums_of(launch.given, launch.shape, launch.shape.below, true);
  const std::size_t rounds = std::max(above.memory(), below.memory());
  StreamMemory memory((rounds + 3 * rows) * sizeof(double) + rows * sizeof(Share), stream);
  cudaError_t status = memory.status();
  if (status != cudaSuccess) {
    return status;
  }
  auto* sums = memory.data<double>();
  double* totals = sums + rounds;
  auto* shares = reinterpret_cast<Share*>(totals + 3 * rows);
  status = start_sums(above, sums, threads::SumTarget<T>{totals, nullptr}, stream);
  if (status == cudaSuccess) {
    status = start_sums(below, sums, threads::SumTarget<T>{totals + rows, nullptr}, stream);
  }
  if (status == cudaSuccess) {
    status =
        over_elements(threads::SharesLaunch{totals, launch.shape.below, shares, count}, stream);
  }
  if (status == cudaSuccess) {
    status = over_elements(threads::shared_launch(launch, shares), stream);
  }
  return status != cudaSuccess ? status : memory.release();
}

}  // namespace

template <class T>
cudaError_t give_all(const threads::GiveLaunch<T>& launch, cudaStream_t stream) {
  if (launch.count() == 0 || launch.shape.below == 0) {
    return cudaSuccess;
  }
  return launch.is_short() ? over_rows(threads::ShortLaunch<T>{launch, launch.count()}, stream)
                           : in_steps(launch, stream);
}

template cudaError_t give_all(const threads::GiveLaunch<float>&, cudaStream_t);
template cudaError_t give_all(const threads::GiveLaunch<Half>&, cudaStream_t);

}  // namespace onnxplain::cuda

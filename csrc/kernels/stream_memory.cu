#include <cstdint>
#include <map>
#include <mutex>

#include "kernels/stream_memory.cuh"

namespace onnxplain::cuda {
namespace {

// The pool of the device in use, which keeps what was given back to it: little, and asked for again
// and again.
cudaError_t pool_of_device(cudaMemPool_t& pool) {
  static std::mutex guard;
  static std::map<int, cudaMemPool_t> made;
  int device = 0;
  cudaError_t status = cudaGetDevice(&device);
  if (status != cudaSuccess) {
    return status;
  }
  const std::lock_guard lock(guard);
  const auto known = made.find(device);
  if (known != made.end()) {
    pool = known->second;
    return cudaSuccess;
  }
  cudaMemPoolProps about{};
  about.allocType = cudaMemAllocationTypePinned;
  about.handleTypes = cudaMemHandleTypeNone;
  about.location.type = cudaMemLocationTypeDevice;
  about.location.id = device;
  status = cudaMemPoolCreate(&pool, &about);
  if (status != cudaSuccess) {
    return status;
  }
  std::uint64_t kept = UINT64_MAX;
  status = cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &kept);
  if (status == cudaSuccess) {
    made.emplace(device, pool);
  }
  return status;
}

}  // namespace

StreamMemory::StreamMemory(std::size_t bytes, cudaStream_t stream)
    : stream_(stream), status_(cudaSuccess) {
  if (bytes == 0) {
    return;
  }
  cudaMemPool_t pool = nullptr;
  status_ = pool_of_device(pool);
  if (status_ == cudaSuccess) {
    status_ = cudaMallocFromPoolAsync(&data_, bytes, pool, stream);
  }
}

StreamMemory::~StreamMemory() {
  static_cast<void>(release());
}

cudaError_t StreamMemory::release() {
  void* data = data_;
  data_ = nullptr;
  return data == nullptr ? cudaSuccess : cudaFreeAsync(data, stream_);
}

}  // namespace onnxplain::cuda

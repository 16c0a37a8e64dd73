// In place of csrc/kernels/stream_memory.cuh, which needs pools of memory.
#pragma once

#include <cuda_runtime_api.h>

namespace onnxplain::cuda {

class StreamMemory {
 public:
  StreamMemory(std::size_t bytes, cudaStream_t stream) : stream_(stream) {
    if (bytes > 0) {
      status_ = cudaMallocAsync(&data_, bytes, stream);
    }
  }
  ~StreamMemory() { static_cast<void>(release()); }
  StreamMemory(const StreamMemory&) = delete;
  StreamMemory& operator=(const StreamMemory&) = delete;

  [[nodiscard]] cudaError_t status() const { return status_; }
  [[nodiscard]] cudaError_t release() {
    void* data = std::exchange(data_, nullptr);
    return data == nullptr ? cudaSuccess : cudaFreeAsync(data, stream_);
  }
  template <class T>
  T* data() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  cudaStream_t stream_;
  cudaError_t status_ = cudaSuccess;
};

}  // namespace onnxplain::cuda

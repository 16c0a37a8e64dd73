// Memory of a GPU for what is started on a stream: it is there for all that comes after it on the
// stream, and given back behind that, while the host waits for nothing.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace onnxplain::cuda {

class StreamMemory {
 public:
  // So many bytes; 0: none.
  StreamMemory(std::size_t bytes, cudaStream_t stream);
  ~StreamMemory();
  StreamMemory(const StreamMemory&) = delete;
  StreamMemory& operator=(const StreamMemory&) = delete;

  [[nodiscard]] cudaError_t status() const { return status_; }
  // Gives it back; the status of that.
  [[nodiscard]] cudaError_t release();
  template <class T>
  T* data() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  cudaStream_t stream_;
  cudaError_t status_;
};

}  // namespace onnxplain::cuda

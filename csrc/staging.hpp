// Small arrays on their way to a GPU, for which the host does not wait.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <mutex>

#include "onnxplain/check.hpp"

namespace onnxplain {

// A few places in pinned memory, used by turns: what goes up is copied into one of them, and by the
// stream from there. A place is written again when its last copy is done, so that the host may be
// as far ahead of the device as there are places, and no further.
class Staging {
 public:
  Staging() = default;
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  ~Staging() {
    for (Place& place : places_) {  // may fail where the process ends
      if (place.event != nullptr) {
        static_cast<void>(cudaEventSynchronize(place.event));
        static_cast<void>(cudaEventDestroy(place.event));
      }
      static_cast<void>(cudaFreeHost(place.memory));
    }
  }

  void upload(const void* from, std::size_t bytes, void* to, cudaStream_t stream) {
    if (bytes == 0) {
      return;
    }
    const std::lock_guard lock(guard_);
    Place& place = places_[next_];
    next_ = (next_ + 1) % places_.size();
    if (place.event == nullptr) {
      require_success(cudaEventCreateWithFlags(&place.event, cudaEventDisableTiming),
                      "cudaEventCreate");
    } else {
      require_success(cudaEventSynchronize(place.event), "cudaEventSynchronize");
    }
    if (place.bytes < bytes) {
      require_success(cudaFreeHost(place.memory), "cudaFreeHost");
      place.memory = nullptr;
      place.bytes = 0;
      require_success(cudaMallocHost(&place.memory, bytes), "cudaMallocHost");
      place.bytes = bytes;
    }
    std::memcpy(place.memory, from, bytes);
    require_success(cudaMemcpyAsync(to, place.memory, bytes, cudaMemcpyHostToDevice, stream),
                    "cudaMemcpyAsync");
    require_success(cudaEventRecord(place.event, stream), "cudaEventRecord");
  }

 private:
  struct Place {
    void* memory = nullptr;
    std::size_t bytes = 0;
    cudaEvent_t event = nullptr;
  };

  std::array<Place, 8> places_;  // two blocks of points, of which each needs a few arrays
  std::size_t next_ = 0;
  std::mutex guard_;
};

}  // namespace onnxplain

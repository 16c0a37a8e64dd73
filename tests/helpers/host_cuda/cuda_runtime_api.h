// What csrc asks of CUDA's runtime, on the host: work waits in one queue, as on a stream, until
// somebody waits for it; then it runs in its order. Memory of the device is the host's, and holds
// no numbers before something is written.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

struct CUstream_st {};
struct CUevent_st {};
using cudaStream_t = CUstream_st*;
using cudaEvent_t = CUevent_st*;

enum cudaError_t { cudaSuccess, cudaErrorUnknown };
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
inline constexpr int cudaEventDisableTiming = 2;
inline constexpr int cudaDevAttrMemoryPoolsSupported = 115;

namespace host_cuda {

// What happened so far: copies down, and how often the host waited for the device.
struct Counts {
  int downloads = 0;
  int waits = 0;
  int live = 0;  // pieces of memory
};
inline Counts counts;
inline std::vector<std::function<void()>> queue;
inline std::recursive_mutex turn;  // of who puts work into the queue, or does it

inline void flush() {
  const std::lock_guard lock(turn);
  for (std::size_t k = 0; k < queue.size(); ++k) {
    queue[k]();
  }
  queue.clear();
}

inline cudaError_t wait() {
  const std::lock_guard lock(turn);
  ++counts.waits;
  flush();
  return cudaSuccess;
}

inline cudaError_t later(std::function<void()> work) {
  const std::lock_guard lock(turn);
  queue.push_back(std::move(work));
  return cudaSuccess;
}

inline cudaError_t make(void** pointer, std::size_t bytes) {
  const std::lock_guard lock(turn);
  ++counts.live;
  *pointer = std::malloc(bytes);
  std::memset(*pointer, 0xFF, bytes);
  return cudaSuccess;
}

inline void end(void* pointer) {
  const std::lock_guard lock(turn);
  counts.live -= pointer != nullptr;
  std::free(pointer);
}

}  // namespace host_cuda

inline const char* cudaGetErrorName(cudaError_t) {
  return "an error";
}
inline const char* cudaGetErrorString(cudaError_t) {
  return "an error";
}
inline cudaError_t cudaDeviceGetAttribute(int* value, int, int) {
  *value = 1;
  return cudaSuccess;
}

inline cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  return host_cuda::make(pointer, bytes);
}
inline cudaError_t cudaMallocAsync(void** pointer, std::size_t bytes, cudaStream_t) {
  return host_cuda::make(pointer, bytes);
}
inline cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
  return host_cuda::make(pointer, bytes);
}
inline cudaError_t cudaFree(void* pointer) {
  host_cuda::flush();
  host_cuda::end(pointer);
  return cudaSuccess;
}
inline cudaError_t cudaFreeHost(void* pointer) {
  host_cuda::end(pointer);
  return cudaSuccess;
}
inline cudaError_t cudaFreeAsync(void* pointer, cudaStream_t) {
  return host_cuda::later([=] { host_cuda::end(pointer); });
}

inline cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  const std::lock_guard lock(host_cuda::turn);
  host_cuda::counts.downloads += kind == cudaMemcpyDeviceToHost;
  host_cuda::flush();
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                                   cudaStream_t) {
  return host_cuda::later([=] { std::memcpy(to, from, bytes); });
}
inline cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t) {
  return host_cuda::later([=] { std::memset(to, value, bytes); });
}

inline cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  *stream = new CUstream_st;
  return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return host_cuda::wait();
}
inline cudaError_t cudaDeviceSynchronize() {
  return host_cuda::wait();
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, int) {
  *event = new CUevent_st;
  return cudaSuccess;
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) {
  return cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t) {
  host_cuda::flush();
  return cudaSuccess;
}

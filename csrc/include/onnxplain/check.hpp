// Checks that throw. The bindings turn std::invalid_argument into Python's ValueError and
// std::runtime_error into RuntimeError.
#pragma once

#include <concepts>
#include <stdexcept>
#include <string>

#ifdef ONNXPLAIN_WITH_CUDA
#include <cuda_runtime_api.h>
#endif

namespace onnxplain {

inline void require(bool condition, const std::string& message) {
  if (!condition) {
    throw std::invalid_argument(message);
  }
}

// The same without making a text where nothing is wrong.
inline void require(bool condition, const char* message) {
  if (!condition) {
    throw std::invalid_argument(message);
  }
}

// The same for a text that takes time to make.
template <std::invocable Message>
void require(bool condition, const Message& message) {
  if (!condition) {
    throw std::invalid_argument(message());
  }
}

#ifdef ONNXPLAIN_WITH_CUDA
// Every CUDA call and every launcher returns a status, and every status passes through here.
inline void require_success(cudaError_t status, const char* what) {
  if (status != cudaSuccess) {
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorName(status) + ", " +
                             cudaGetErrorString(status));
  }
}
#endif

}  // namespace onnxplain

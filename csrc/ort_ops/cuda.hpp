// What the operators for onnxruntime's CUDAExecutionProvider share. They start their work on the
// run's own stream, and wait for nothing.
#pragma once

#include "onnxplain/check.hpp"
#include "ort_ops/context.hpp"

namespace onnxplain::ort {

inline constexpr const char* kCuda = "CUDAExecutionProvider";

inline cudaStream_t stream_of(const Context& context) {
  return static_cast<cudaStream_t>(context.gpu_stream());
}

}  // namespace onnxplain::ort

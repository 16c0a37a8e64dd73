// In place of csrc/ort_ops/cuda.hpp: onnxruntime takes the operators for the CPU, and what they
// start on its stream is done when the expression that starts it ends.
#pragma once

#include "onnxplain/check.hpp"
#include "ort_ops/context.hpp"

namespace onnxplain::ort {

inline constexpr const char* kCuda = "CPUExecutionProvider";

class UntilDone {
 public:
  UntilDone() = default;
  ~UntilDone() { host_cuda::flush(); }
  UntilDone(const UntilDone&) = delete;
  UntilDone& operator=(const UntilDone&) = delete;
  operator cudaStream_t() const { return nullptr; }
};

inline UntilDone stream_of(const Context&) {
  return {};
}

}  // namespace onnxplain::ort

// ai.onnxplain::GeluBackward and GeluBackwardFloat16, version 1: a walk back through Gelu in one
// pass (kernels/gelu_backward.hpp).
//
// Inputs: x, and g, what arrives, which broadcasts to it. Attributes: `factor` (one
// float), `tanh` (an int, which may be left out: 1 for the approximation with tanh). Output: dx.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

// For the CPU.
const CustomOp& gelu_backward_op();
const CustomOp& gelu_backward_float16_op();

#ifdef ONNXPLAIN_WITH_CUDA
// For onnxruntime's CUDAExecutionProvider.
const CustomOp& gelu_backward_cuda_op();
const CustomOp& gelu_backward_float16_cuda_op();
#endif

}  // namespace onnxplain::ort

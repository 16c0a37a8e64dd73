// ai.onnxplain::SoftmaxBackward and ai.onnxplain::NormBackward, version 1: walks back through rows
// in one pass (kernels/row_backward.hpp). SoftmaxBackwardFloat16 and NormBackwardFloat16: the same
// of float16.
//
// SoftmaxBackward: inputs y, what Softmax made along its last axis, and g, what arrives, which
// broadcasts to it. Output: dx = y (g - sum(g y)).
//
// NormBackward: inputs x, what was normalised, g, what arrives, which broadcasts to it, and perhaps
// a scale by which g is multiplied: one number, or as many as a row. Attributes: `axes` (one int:
// so many last axes are a row), `centred` (one int: 1 for layers, 0 for root mean squares),
// `constant` (one int: 1 where what a row is divided by counts as a constant) and `epsilon` (one
// float). Output: dx.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

// For the CPU.
const CustomOp& softmax_backward_op();
const CustomOp& softmax_backward_float16_op();
const CustomOp& norm_backward_op();
const CustomOp& norm_backward_float16_op();

#ifdef ONNXPLAIN_WITH_CUDA
// For onnxruntime's CUDAExecutionProvider.
const CustomOp& softmax_backward_cuda_op();
const CustomOp& softmax_backward_float16_cuda_op();
const CustomOp& norm_backward_cuda_op();
const CustomOp& norm_backward_float16_cuda_op();
#endif

}  // namespace onnxplain::ort

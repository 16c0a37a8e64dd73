// ai.onnxplain::Elementwise and ElementwiseFloat16, version 1: several elementwise steps at once
// (kernels/elementwise.hpp).
//
// Inputs: one or more tensors of float32 (of float16), which broadcast. Output: one of the same
// type. Attributes: `program` (ints, four for each step) and `constants` (floats). The types have
// operators of their own, since onnxruntime finds the type of an output by the operator alone.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

// For the CPU.
const CustomOp& elementwise_op();
const CustomOp& elementwise_float16_op();

#ifdef ONNXPLAIN_WITH_CUDA
// For onnxruntime's CUDAExecutionProvider.
const CustomOp& elementwise_cuda_op();
const CustomOp& elementwise_float16_cuda_op();
#endif

}  // namespace onnxplain::ort

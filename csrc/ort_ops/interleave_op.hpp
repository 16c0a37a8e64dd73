// Interleave: parts of a value put together, each of which has every s-th row and column.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

// For the CPU.
const CustomOp& interleave_op();
const CustomOp& interleave_float16_op();

#ifdef ONNXPLAIN_WITH_CUDA
// For onnxruntime's CUDAExecutionProvider.
const CustomOp& interleave_cuda_op();
const CustomOp& interleave_float16_cuda_op();
#endif

}  // namespace onnxplain::ort

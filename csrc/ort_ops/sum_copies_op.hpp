// ai.onnxplain::SumCopies and SumCopiesFloat16, version 1: sums over the copies that broadcasting
// made (kernels/sum_copies.hpp).
//
// Inputs: what arrives, float32 (float16); and the lengths of the first axes that the tensor had
// before it was broadcast, int64 (its other axes are those of what arrives). Output: of the
// tensor's shape.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

// For the CPU.
const CustomOp& sum_copies_op();
const CustomOp& sum_copies_float16_op();

#ifdef ONNXPLAIN_WITH_CUDA
// For onnxruntime's CUDAExecutionProvider.
const CustomOp& sum_copies_cuda_op();
const CustomOp& sum_copies_float16_cuda_op();
#endif

}  // namespace onnxplain::ort

// MaxPoolGrad and MaxPoolGradFloat16: the walk back through max pooling over two axes. One axis is
// two, one of which has length 1; three are taken in two turns.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

// For the CPU.
const CustomOp& max_pool_grad_op();
const CustomOp& max_pool_grad_float16_op();

#ifdef ONNXPLAIN_WITH_CUDA
// For onnxruntime's CUDAExecutionProvider.
const CustomOp& max_pool_grad_cuda_op();
const CustomOp& max_pool_grad_float16_cuda_op();
#endif

}  // namespace onnxplain::ort

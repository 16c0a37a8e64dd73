// Surround: patches of values, with what stands around them in a whole one.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

// For the CPU.
const CustomOp& surround_op();

#ifdef ONNXPLAIN_WITH_CUDA
// For onnxruntime's CUDAExecutionProvider.
const CustomOp& surround_cuda_op();
#endif

}  // namespace onnxplain::ort

// ai.onnxplain::GiveAll and GiveAllFloat16, version 1: what inputs of a layer get, and their share
// of what is missing (kernels/give_all.hpp).
//
// Inputs: the relevance of the outputs, and what the inputs get of it. Attributes: `above` and
// `below` (ints), the axes that a row has in the one and in the other: one behind the other. Along
// the axes before them, and along those behind them, both have the same number of places. Output:
// of the second input's shape.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

// For the CPU.
const CustomOp& give_all_op();
const CustomOp& give_all_float16_op();

#ifdef ONNXPLAIN_WITH_CUDA
// For onnxruntime's CUDAExecutionProvider.
const CustomOp& give_all_cuda_op();
const CustomOp& give_all_float16_cuda_op();
#endif

}  // namespace onnxplain::ort

// ai.onnxplain::Elementwise, version 1: several elementwise steps at once
// (kernels/elementwise.hpp).
//
// Inputs: one or more tensors of float32, which broadcast. Output: one. Attributes: `program`
// (ints, four for each step) and `constants` (floats).
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

// For the CPU.
const CustomOp& elementwise_op();

}  // namespace onnxplain::ort

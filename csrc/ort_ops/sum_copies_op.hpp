// ai.onnxplain::SumCopies, version 1: sums over the copies that broadcasting made
// (kernels/sum_copies.hpp).
//
// Inputs: what arrives, float32; and the lengths of the first axes that the tensor had before it
// was broadcast, int64 (its other axes are those of what arrives). Output: of the tensor's shape.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

// For the CPU.
const CustomOp& sum_copies_op();

}  // namespace onnxplain::ort

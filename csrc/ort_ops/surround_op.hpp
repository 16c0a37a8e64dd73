// Surround: patches of values, with what stands around them in a whole one.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

// For the CPU.
const CustomOp& surround_op();

}  // namespace onnxplain::ort

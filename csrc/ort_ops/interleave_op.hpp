// Interleave: parts of a value put together, each of which has every s-th row and column.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

const CustomOp& interleave_op();

}  // namespace onnxplain::ort

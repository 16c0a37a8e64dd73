// SparseConvTranspose: transposed convolution over two axes of what is mostly zeros.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

const CustomOp& sparse_conv_transpose_op();

}  // namespace onnxplain::ort

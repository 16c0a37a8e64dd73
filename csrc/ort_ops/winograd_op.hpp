// WinogradConv: a convolution with kernels of 3 x 3.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

const CustomOp& winograd_conv_op();

}  // namespace onnxplain::ort

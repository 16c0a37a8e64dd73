// ThinConvTranspose: a transposed convolution to few channels.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

const CustomOp& thin_transposed_conv_op();

}  // namespace onnxplain::ort

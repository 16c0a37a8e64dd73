// MaxPoolGrad: the walk back through max pooling over two axes.
#pragma once

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

const CustomOp& max_pool_grad_op();

}  // namespace onnxplain::ort

// The kernels on device pointers, for Python.
#pragma once

#include <pybind11/pybind11.h>

namespace onnxplain {

void bind_cuda(pybind11::module_ m);

}  // namespace onnxplain

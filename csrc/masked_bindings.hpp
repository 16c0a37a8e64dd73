// The kernels of masked batches, for Python.
#pragma once

#include <pybind11/pybind11.h>

namespace onnxplain {

void bind_masked(pybind11::module_& m);

}  // namespace onnxplain

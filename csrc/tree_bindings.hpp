// The kernels of trees, for Python.
#pragma once

#include <pybind11/pybind11.h>

namespace onnxplain {

void bind_trees(pybind11::module_& m);

}  // namespace onnxplain

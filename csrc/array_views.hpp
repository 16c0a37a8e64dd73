// Views of NumPy arrays, checked for their number of axes.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <string>

#include "onnxplain/check.hpp"
#include "onnxplain/tensor_view.hpp"

namespace onnxplain {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style>;

inline void require_axes(const py::array& array, int axes, const char* name) {
  constexpr const char* kNumbers[] = {"no axes", "one axis", "two axes", "three axes", "four axes"};
  require(array.ndim() == axes, std::string(name) + " must have " + kNumbers[axes]);
  require(array.size() == 0 || reinterpret_cast<std::uintptr_t>(array.data()) %
                                       static_cast<std::uintptr_t>(array.dtype().alignment()) ==
                                   0,
          std::string(name) + " is not aligned in memory");
}

template <class T>
Matrix<const T> matrix(const Array<T>& array, const char* name) {
  require_axes(array, 2, name);
  return matrix_view<const T>(array.data(), array.shape(0), array.shape(1));
}

template <class T>
Matrix<T> writable_matrix(Array<T>& array, const char* name) {
  require_axes(array, 2, name);
  return matrix_view<T>(array.mutable_data(), array.shape(0), array.shape(1));
}

template <class T>
Vector<const T> vector(const Array<T>& array, const char* name) {
  require_axes(array, 1, name);
  return vector_view<const T>(array.data(), array.shape(0));
}

template <class T>
void require_shape(const Matrix<T>& view, std::int64_t rows, std::int64_t cols, const char* name) {
  require(view.shape[0] == rows && view.shape[1] == cols,
          std::string(name) + " has the wrong shape");
}

}  // namespace onnxplain

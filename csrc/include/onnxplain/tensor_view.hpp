// A plain view of a tensor: where it lies, its shape, and its strides counted in elements.
//
// It owns nothing and is copied by value, also into CUDA kernels. A stride of zero repeats one
// slice along that axis, which is how a single row is broadcast over a batch.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define ONNXPLAIN_HOST_DEVICE __host__ __device__
#else
#define ONNXPLAIN_HOST_DEVICE
#endif

namespace onnxplain {

template <class T, int Rank>
struct TensorView {
  T* data;
  std::int64_t shape[Rank];
  std::int64_t strides[Rank];

  ONNXPLAIN_HOST_DEVICE std::int64_t size() const {
    std::int64_t total = 1;
    for (int axis = 0; axis < Rank; ++axis) {
      total *= shape[axis];
    }
    return total;
  }

  // Pointer to the start of slice `index` of the first axis.
  ONNXPLAIN_HOST_DEVICE T* row(std::int64_t index) const { return data + index * strides[0]; }

  // Element `index` of the first axis, where the tensor is a vector.
  ONNXPLAIN_HOST_DEVICE T& operator[](std::int64_t index) const
    requires(Rank == 1)
  {
    return data[index * strides[0]];
  }
};

template <class T>
using Vector = TensorView<T, 1>;

template <class T>
using Matrix = TensorView<T, 2>;

// View `rows` rows of `cols` contiguous elements.
template <class T>
Matrix<T> matrix_view(T* data, std::int64_t rows, std::int64_t cols) {
  return {data, {rows, cols}, {cols, 1}};
}

template <class T>
Vector<T> vector_view(T* data, std::int64_t size) {
  return {data, {size}, {1}};
}

// Give a view of one slice as many slices as asked for; a view that has them already is unchanged.
template <class T, int Rank>
TensorView<T, Rank> broadcast_rows(TensorView<T, Rank> view, std::int64_t rows) {
  if (view.shape[0] == 1) {
    view.shape[0] = rows;
    view.strides[0] = 0;
  }
  return view;
}

}  // namespace onnxplain

// Elementwise steps of the modified backward passes (LRP, guided backpropagation).
//
// Each is a small function object, used by the CPU loop, by the CUDA kernel and by anything that
// wants to fuse it, plus one launcher: out[i] = f(a[i], b[i]).
#pragma once

#include <cstdint>

#include "onnxplain/tensor_view.hpp"

#ifdef ONNXPLAIN_WITH_CUDA
#include <cuda_runtime_api.h>
#endif

namespace onnxplain {

// r / (z + epsilon * sign(z)), with sign(0) = +1 for both zeros.
template <class T>
struct StabilisedDivide {
  T epsilon;
  ONNXPLAIN_HOST_DEVICE T operator()(T r, T z) const {
    return r / (z + (z >= T(0) ? epsilon : -epsilon));
  }
};

// The gradient g where the activation y is positive, else 0. A y that is not a number gives 0.
template <class T>
struct ReluMask {
  ONNXPLAIN_HOST_DEVICE T operator()(T g, T y) const { return y > T(0) ? g : T(0); }
};

// The gradient g where both it and the activation y are positive, else 0.
template <class T>
struct GuidedMask {
  ONNXPLAIN_HOST_DEVICE T operator()(T g, T y) const { return y > T(0) && g > T(0) ? g : T(0); }
};

// alpha * pos - beta * neg
template <class T>
struct AlphaBetaMerge {
  T alpha;
  T beta;
  ONNXPLAIN_HOST_DEVICE T operator()(T pos, T neg) const { return alpha * pos - beta * neg; }
};

// Two contiguous inputs and an output of one size; the output may be one of the inputs.
template <class T>
struct Binary {
  Vector<const T> a;
  Vector<const T> b;
  Vector<T> out;
};

namespace cpu {
template <class F, class T>
void binary(const F& function, const Binary<T>& op);
}  // namespace cpu

#ifdef ONNXPLAIN_WITH_CUDA
// Starts work on a stream and returns the status of the launch, which the caller must check.
namespace cuda {
template <class F, class T>
[[nodiscard]] cudaError_t binary(const F& function, const Binary<T>& op, cudaStream_t stream);
}  // namespace cuda
#endif

}  // namespace onnxplain

#include "kernels/launch.cuh"
#include "kernels/relevance.hpp"

namespace onnxplain::cuda {
namespace {

template <class F, class T>
__global__ void binary_kernel(F function, Binary<T> op) {
  for (std::int64_t i = first_item(); i < op.out.shape[0]; i += item_stride()) {
    op.out.data[i] = function(op.a.data[i], op.b.data[i]);
  }
}

}  // namespace

template <class F, class T>
cudaError_t binary(const F& function, const Binary<T>& op, cudaStream_t stream) {
  if (op.out.size() == 0) {
    return cudaSuccess;
  }
  binary_kernel<<<blocks_for(op.out.size()), kThreads, 0, stream>>>(function, op);
  return cudaGetLastError();
}

#define ONNXPLAIN_INSTANTIATE(F)                                                    \
  template cudaError_t binary(const F<float>&, const Binary<float>&, cudaStream_t); \
  template cudaError_t binary(const F<double>&, const Binary<double>&, cudaStream_t)

ONNXPLAIN_INSTANTIATE(StabilisedDivide);
ONNXPLAIN_INSTANTIATE(ReluMask);
ONNXPLAIN_INSTANTIATE(GuidedMask);
ONNXPLAIN_INSTANTIATE(AlphaBetaMerge);

#undef ONNXPLAIN_INSTANTIATE

}  // namespace onnxplain::cuda

#include "kernels/launch.cuh"
#include "kernels/moments_threads.hpp"

namespace onnxplain::cuda {

template <class T>
cudaError_t centre(const Centre<T>& op, cudaStream_t stream) {
  return start_shared(op, stream);
}

template <class T>
cudaError_t add_powers(const AddPowers<T>& op, cudaStream_t stream) {
  return start_shared(op, stream);
}

template cudaError_t centre(const Centre<float>&, cudaStream_t);
template cudaError_t centre(const Centre<double>&, cudaStream_t);
template cudaError_t add_powers(const AddPowers<float>&, cudaStream_t);
template cudaError_t add_powers(const AddPowers<double>&, cudaStream_t);

}  // namespace onnxplain::cuda

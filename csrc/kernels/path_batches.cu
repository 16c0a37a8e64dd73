#include "kernels/launch.cuh"
#include "kernels/path_threads.hpp"

namespace onnxplain::cuda {

template <class T>
cudaError_t interpolate(const Interpolate<T>& op, cudaStream_t stream) {
  return start_shared(op, stream);
}

template <class Acc, class T>
cudaError_t accumulate(const Accumulate<Acc, T>& op, cudaStream_t stream) {
  return start_shared(op, stream);
}

template <class T>
cudaError_t noise(const Noise<T>& op, cudaStream_t stream) {
  return start_shared(op, stream);
}

template <class T>
cudaError_t between(const Between<T>& op, cudaStream_t stream) {
  return start_shared(op, stream);
}

template <class T>
cudaError_t times_way(const TimesWay<T>& op, cudaStream_t stream) {
  return start_shared(op, stream);
}

template cudaError_t interpolate(const Interpolate<float>&, cudaStream_t);
template cudaError_t interpolate(const Interpolate<double>&, cudaStream_t);
template cudaError_t accumulate(const Accumulate<float, float>&, cudaStream_t);
template cudaError_t accumulate(const Accumulate<double, float>&, cudaStream_t);
template cudaError_t accumulate(const Accumulate<double, double>&, cudaStream_t);
template cudaError_t noise(const Noise<float>&, cudaStream_t);
template cudaError_t noise(const Noise<double>&, cudaStream_t);
template cudaError_t between(const Between<float>&, cudaStream_t);
template cudaError_t between(const Between<double>&, cudaStream_t);
template cudaError_t times_way(const TimesWay<float>&, cudaStream_t);
template cudaError_t times_way(const TimesWay<double>&, cudaStream_t);

}  // namespace onnxplain::cuda

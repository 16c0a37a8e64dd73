#include "kernels/launch.cuh"
#include "kernels/masked_threads.hpp"

namespace onnxplain::cuda {

template <class Word>
cudaError_t choose(const Choose<Word>& op, cudaStream_t stream) {
  return start_shared(op, stream);
}

template <class Word>
cudaError_t cover(const Cover<Word>& op, cudaStream_t stream) {
  return start_shared(op, stream);
}

template <class T>
cudaError_t fade(const Fade<T>& op, cudaStream_t stream) {
  return start_shared(op, stream);
}

template <class T>
cudaError_t fade_players(const FadePlayers<T>& op, cudaStream_t stream) {
  return start_shared(op, stream);
}

cudaError_t stretch(const Stretch& op, cudaStream_t stream) {
  return start_shared(op, stream);
}

cudaError_t sum_masks(const SumMasks& op, cudaStream_t stream) {
  return start_shared(op, stream);
}

template <class T>
cudaError_t draw_cells(const DrawCells<T>& op, cudaStream_t stream) {
  return start_shared(op, stream);
}

template cudaError_t choose(const Choose<std::uint8_t>&, cudaStream_t);
template cudaError_t choose(const Choose<std::uint16_t>&, cudaStream_t);
template cudaError_t choose(const Choose<std::uint32_t>&, cudaStream_t);
template cudaError_t choose(const Choose<std::uint64_t>&, cudaStream_t);
template cudaError_t cover(const Cover<std::uint8_t>&, cudaStream_t);
template cudaError_t cover(const Cover<std::uint16_t>&, cudaStream_t);
template cudaError_t cover(const Cover<std::uint32_t>&, cudaStream_t);
template cudaError_t cover(const Cover<std::uint64_t>&, cudaStream_t);
template cudaError_t fade(const Fade<float>&, cudaStream_t);
template cudaError_t fade(const Fade<double>&, cudaStream_t);
template cudaError_t fade_players(const FadePlayers<float>&, cudaStream_t);
template cudaError_t fade_players(const FadePlayers<double>&, cudaStream_t);
template cudaError_t draw_cells(const DrawCells<float>&, cudaStream_t);
template cudaError_t draw_cells(const DrawCells<std::uint8_t>&, cudaStream_t);

}  // namespace onnxplain::cuda

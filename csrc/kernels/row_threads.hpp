// Walks back through rows as a GPU's threads run them: some threads for each row, as many as the
// CPU's sums have lanes, in the same order, so that the bits are the same. Nothing here needs a
// GPU.
#pragma once

#include <cstdint>

#include "kernels/elementwise_threads.hpp"
#include "kernels/row_backward.hpp"
#include "kernels/row_steps.hpp"

namespace onnxplain::threads {

// A row of so many numbers, and who goes through it: one of its threads, or all lanes.
template <class Lanes>
struct RowOf {
  std::int64_t size;
  const Lanes& lanes;

  template <class Term>
  ONNXPLAIN_HOST_DEVICE float sum(const Term& term) const {
    typename Lanes::template Sum<float> made(lanes);
    made.add(size, term);
    return made.total();
  }
  template <class Body>
  ONNXPLAIN_HOST_DEVICE void each(const Body& body) const {
    lanes.each(size, body);
  }
};

// All rows of a tensor.
template <class T>
struct RowLaunch {
  const T* x;  // of the softmax: y
  Input<T> g;  // what arrives, which may be repeated
  std::int64_t length[kMostAxes];
  T* dx;
  std::int64_t rows;
  std::int64_t size;

  // What arrives at an element of the tensor.
  ONNXPLAIN_HOST_DEVICE float arriving(std::int64_t element) const {
    if (g.rank == 0) {
      return to_float(g.data[element]);
    }
    std::uint64_t within = 0;
    return to_float(g.data[offset_of<std::uint64_t>(length, g.rank, g.repeated,
                                                    static_cast<std::uint64_t>(element), within)]);
  }
};

template <class T>
struct SoftmaxLaunch : RowLaunch<T> {
  template <class Lanes>
  ONNXPLAIN_HOST_DEVICE void run_row(const Lanes& lanes, std::int64_t row) const {
    const std::int64_t begin = row * this->size;
    softmax_row(
        RowOf<Lanes>{this->size, lanes}, this->x + begin,
        [&](std::int64_t i) { return this->arriving(begin + i); }, this->dx + begin);
  }
};

template <class T>
struct NormLaunch : RowLaunch<T> {
  const T* scale;  // null: there is none
  bool one_scale;  // for all elements of a row
  Normalisation norm;

  template <class Lanes>
  ONNXPLAIN_HOST_DEVICE void run_row(const Lanes& lanes, std::int64_t row) const {
    const std::int64_t begin = row * this->size;
    norm_row(
        RowOf<Lanes>{this->size, lanes}, norm, this->x + begin,
        [&](std::int64_t i) {
          const float arrives = this->arriving(begin + i);
          return scale == nullptr ? arrives : arrives * to_float(scale[one_scale ? 0 : i]);
        },
        this->size, this->dx + begin);
  }
};

}  // namespace onnxplain::threads

#ifdef ONNXPLAIN_WITH_CUDA
namespace onnxplain::cuda {
// These start work on a stream and return the status of the launch, which the caller must check.
template <class T>
[[nodiscard]] cudaError_t softmax_backward(const threads::SoftmaxLaunch<T>& launch,
                                           cudaStream_t stream);
template <class T>
[[nodiscard]] cudaError_t norm_backward(const threads::NormLaunch<T>& launch, cudaStream_t stream);
}  // namespace onnxplain::cuda
#endif

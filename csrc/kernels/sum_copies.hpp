// Sums over the copies that broadcasting made of a tensor.
//
// A tensor of shape (own..., rest...) was broadcast to the shape of what arrives, whose last axes
// `rest` it has; where its own length is 1 and the other is not, there are copies. Sums are made in
// double precision (of float16, too), in an order that depends on the shapes alone (sum_order.hpp),
// and rounded once: they depend neither on threads nor on the processor, a GPU's neither.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/half.hpp"
#include "kernels/sum_order.hpp"

#ifdef ONNXPLAIN_WITH_CUDA
#include <cuda_runtime_api.h>
#endif

namespace onnxplain {

// What is summed: runs of axes that are all summed over, or all kept, are one axis; of length 1
// there are none.
struct Copies {
  std::vector<std::int64_t> shape;    // of the result
  std::vector<std::int64_t> lengths;  // of what arrives, in runs
  std::vector<std::int64_t> strides;  // of what arrives, for each run
  std::vector<bool> summed;           // for each run
  std::int64_t total = 1;             // numbers in the result

  // Nothing is summed: the result is what arrives.
  bool none() const;
  // How the numbers of each sum are cut.
  Cut cut() const;
  // How many numbers that lie one behind the other make one of the result.
  std::int64_t along() const;
};

// Throws std::invalid_argument where the one shape is not broadcast to the other.
Copies copies(const std::vector<std::int64_t>& wide, const std::vector<std::int64_t>& own);

namespace cpu {

// Computes elements [begin, end) of the result.
template <class T>
void sum_copies(const Copies& copies, const T* from, std::int64_t begin, std::int64_t end, T* to);

}  // namespace cpu

namespace threads {
template <class T>
struct SumLaunch;
// All sums, for a GPU. Throws std::invalid_argument where there are too many axes.
template <class T>
SumLaunch<T> sum_launch(const Copies& copies, const T* from);
}  // namespace threads

#ifdef ONNXPLAIN_WITH_CUDA
namespace cuda {
// Starts work on a stream and returns the status of the launch, which the caller must check.
template <class T>
[[nodiscard]] cudaError_t sum_copies(const threads::SumLaunch<T>& launch, T* to,
                                     cudaStream_t stream);
}  // namespace cuda
#endif

}  // namespace onnxplain

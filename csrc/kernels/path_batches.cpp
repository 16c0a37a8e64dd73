#include "kernels/path_batches.hpp"

#include <algorithm>

#include "kernels/philox_blocks.hpp"
#include "onnxplain/normal.hpp"
#include "onnxplain/parallel.hpp"
#include "onnxplain/processors.hpp"
#include "onnxplain/streaming.hpp"

namespace onnxplain::cpu {
namespace {

// Elements worked on at a time, few enough to stay in the first-level cache: of sums, and of
// points.
constexpr std::int64_t kTile = 4096;
constexpr std::int64_t kPoints = 2048;
// Steps that are added at once, so that memory is read in several places.
constexpr int kAtOnce = 4;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

// Cuts rows x cols into tiles of one row each and calls body(row, begin, end) on them in parallel.
// `work` is how many times each element is visited.
template <class Body>
void for_each_tile(std::int64_t rows, std::int64_t cols, std::int64_t width, std::int64_t work,
                   const Body& body) {
  const std::int64_t tiles = ceil_div(cols, width);
  if (tiles == 0 || work == 0) {
    return;
  }
  const std::int64_t grain = ceil_div(kGrain, work * std::min(cols, width));
  parallel_for(rows * tiles, grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t tile = first; tile < last; ++tile) {
      const std::int64_t begin = tile % tiles * width;
      body(tile / tiles, begin, std::min(begin + width, cols));
    }
  });
}

// The loops, compiled for several kinds of processors; for each type of elements one function.

template <class T>
ONNXPLAIN_INLINE inline void interpolate_loop(const T* from, const T* to, T alpha, std::int64_t n,
                                              T* out) {
  for (std::int64_t d = 0; d < n; ++d) {
    out[d] = interpolated_at(from[d], to[d], alpha);
  }
}

// Adds the weighted terms of some steps, one after the other; they lie `stride` elements apart.
template <int kSteps, class Acc, class T>
ONNXPLAIN_INLINE inline void accumulate_loop(Acc* acc, const Acc* weights, const T* grads,
                                             std::int64_t stride, std::int64_t n) {
  for (std::int64_t d = 0; d < n; ++d) {
    Acc sum = acc[d];
    for (int s = 0; s < kSteps; ++s) {
      sum += weights[s] * static_cast<Acc>(grads[s * stride + d]);
    }
    acc[d] = sum;
  }
}

#define ONNXPLAIN_LOOPS(T)                                                         \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                     \
  void interpolated(const T* from, const T* to, T alpha, std::int64_t n, T* out) { \
    interpolate_loop(from, to, alpha, n, out);                                     \
  }
#define ONNXPLAIN_SUMS(Acc, T)                                                                    \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                                    \
  void add(Acc* acc, const Acc* weights, std::int64_t steps, const T* grads, std::int64_t stride, \
           std::int64_t n) {                                                                      \
    for (; steps >= kAtOnce; steps -= kAtOnce, weights += kAtOnce, grads += kAtOnce * stride) {   \
      accumulate_loop<kAtOnce>(acc, weights, grads, stride, n);                                   \
    }                                                                                             \
    for (; steps > 0; --steps, ++weights, grads += stride) {                                      \
      accumulate_loop<1>(acc, weights, grads, stride, n);                                         \
    }                                                                                             \
  }

ONNXPLAIN_LOOPS(float)
ONNXPLAIN_LOOPS(double)
ONNXPLAIN_SUMS(float, float)
ONNXPLAIN_SUMS(double, float)
ONNXPLAIN_SUMS(double, double)

#undef ONNXPLAIN_LOOPS
#undef ONNXPLAIN_SUMS

// Adds normals to x, times the deviation; the words of Philox blocks make four each, and the last
// may be for fewer.
template <class T>
ONNXPLAIN_INLINE inline void add_normals(const std::uint32_t (*words)[kPhiloxBlocks], const T* x,
                                         T stdev, std::int64_t n, T* out) {
  T normals[4][kPhiloxBlocks];
  T z[4 * kPhiloxBlocks];
  const std::int64_t blocks = (n + 3) / 4;
  for (int k = 0; k < 4; k += 2) {
    for (std::int64_t block = 0; block < blocks; ++block) {
      box_muller(words[k][block], words[k + 1][block], normals[k][block], normals[k + 1][block]);
    }
  }
  for (std::int64_t block = 0; block < blocks; ++block) {
    for (int k = 0; k < 4; ++k) {
      z[4 * block + k] = normals[k][block];
    }
  }
  for (std::int64_t d = 0; d < n; ++d) {
    out[d] = noisy_at(x[d], stdev, z[d]);
  }
}

#define ONNXPLAIN_NOISE(T)                                                                        \
  ONNXPLAIN_FOR_EACH_PROCESSOR ONNXPLAIN_FLATTEN void noisy(                                      \
      const std::uint32_t (*words)[kPhiloxBlocks], const T* x, T stdev, std::int64_t n, T* out) { \
    add_normals(words, x, stdev, n, out);                                                         \
  }

ONNXPLAIN_NOISE(float)
ONNXPLAIN_NOISE(double)

#undef ONNXPLAIN_NOISE

}  // namespace

template <class T>
void interpolate(const Interpolate<T>& op) {
  const std::int64_t steps = op.alphas.shape[0];
  const std::int64_t rows = op.end.shape[0];
  const bool streamed = past_caches(op.out.size() * static_cast<std::int64_t>(sizeof(T)));
  for_each_tile(rows, op.out.shape[1], kPoints, steps,
                [&](std::int64_t row, std::int64_t begin, std::int64_t end) {
                  const T* from = op.start.row(row) + begin;
                  const T* to = op.end.row(row) + begin;
                  T points[kPoints];
                  for (std::int64_t s = 0; s < steps; ++s) {
                    T* out = op.out.row(s * rows + row) + begin;
                    interpolated(from, to, op.alphas[s], end - begin, streamed ? points : out);
                    if (streamed) {
                      stream(points, end - begin, out);
                    }
                  }
                  if (streamed) {
                    finish_streaming();
                  }
                });
}

template <class Acc, class T>
void accumulate(const Accumulate<Acc, T>& op) {
  const std::int64_t steps = op.weights.shape[0];
  const std::int64_t rows = op.acc.shape[0];
  for_each_tile(rows, op.acc.shape[1], kTile, steps,
                [&](std::int64_t row, std::int64_t begin, std::int64_t end) {
                  add(op.acc.row(row) + begin, op.weights.data, steps, op.grads.row(row) + begin,
                      rows * op.grads.strides[0], end - begin);
                });
}

template <class T>
void noise(const Noise<T>& op) {
  const std::int64_t rows = op.x.shape[0];
  // One normal costs about as much as three plain elements.
  for_each_tile(op.out.shape[0], op.out.shape[1], 4 * kPhiloxBlocks, 3,
                [&](std::int64_t row, std::int64_t begin, std::int64_t end) {
                  const std::int64_t n = row % rows;
                  const PhiloxWords counter = counter_of(op, row / rows, n, begin / 4);
                  std::uint32_t words[4][kPhiloxBlocks];
                  philox_blocks(counter, op.seed, ceil_div(end - begin, 4), words);
                  noisy(words, op.x.row(n) + begin, static_cast<T>(op.stdev[n]), end - begin,
                        op.out.row(row) + begin);
                });
}

template void interpolate(const Interpolate<float>&);
template void interpolate(const Interpolate<double>&);
template void accumulate(const Accumulate<float, float>&);
template void accumulate(const Accumulate<double, float>&);
template void accumulate(const Accumulate<double, double>&);
template void noise(const Noise<float>&);
template void noise(const Noise<double>&);

}  // namespace onnxplain::cpu

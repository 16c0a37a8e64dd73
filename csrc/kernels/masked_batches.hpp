// Batches of which parts are taken away, and the sums of what a model answers to them.
//
// Rows of a batch of S steps are ordered step first: row s * N + n is example n at step s. Words
// are unsigned integers of an element's size: what only moves elements moves their bits, whatever
// they mean.
#pragma once

#include <cstdint>

#include "onnxplain/processors.hpp"
#include "onnxplain/tensor_view.hpp"
#include "onnxplain/uniform.hpp"

#ifdef ONNXPLAIN_WITH_CUDA
#include <cuda_runtime_api.h>
#endif

namespace onnxplain {

// Axes that a box may have.
inline constexpr int kMaxBoxAxes = 8;

// out[s * N + n, d] = x[n, d] where ids[n, d] is negative or kept[s, n, ids[n, d]], else
// instead[which[s], n, d]
template <class Word>
struct Choose {
  Matrix<const Word> x;                    // [N, D]
  TensorView<const Word, 3> instead;       // [M, N, D]; strides may be zero
  Matrix<const std::int64_t> ids;          // [N, D], below P; the row stride may be zero
  TensorView<const std::uint8_t, 3> kept;  // [S, N, P]; the stride of N may be zero
  Matrix<Word> out;                        // [S * N, D]
  Vector<const std::int64_t> which;        // [S], below M; without data: s itself
};

// What stands in place of example n at step s.
template <class Word>
ONNXPLAIN_HOST_DEVICE inline const Word* stand_in(const Choose<Word>& op, std::int64_t s,
                                                  std::int64_t n) {
  const std::int64_t row = op.which.data == nullptr ? s : op.which[s];
  return op.instead.row(row) + n * op.instead.strides[1];
}

// Boxes in an array of some axes: what lies beyond its ends is cut off.
struct Boxes {
  Matrix<const std::int64_t> starts;  // [S, axes]
  Vector<const std::int64_t> window;  // [axes]
  Vector<const std::int64_t> shape;   // [axes]
};

// out[s * N + n] = x[n], but instead[n] within box s
template <class Word>
struct Cover {
  Matrix<const Word> x;        // [N, D]
  Matrix<const Word> instead;  // [N, D]
  Boxes boxes;
  Matrix<Word> out;  // [S * N, D]
};

// total[n, d] += lost[s, n] for each box s that holds d, in the order of s
struct SumBoxes {
  Matrix<double> total;       // [N, D]
  Matrix<const double> lost;  // [S, N]
  Boxes boxes;
};

// out[s * N + n, d] = m * (x[n, d] - b[n, d]) + b[n, d] with m = mask[s, n, cell(d)], and x itself
// at 1. Elements are repeats times cells times inner: d = (r * cells + cell) * inner + i. Where x
// or b is missing (NaN), the nearer of both stands.
template <class T>
struct Fade {
  Matrix<const T> x;            // [N, D]
  Matrix<const T> baseline;     // [N, D]
  TensorView<const T, 3> mask;  // [S, N, cells]; the stride of N may be zero
  std::int64_t inner;
  Matrix<T> out;  // [S * N, D]
};

// The same with m = degrees[s, ids[n, d]], or 1 where the id is below 0, for a GPU.
template <class T>
struct FadePlayers {
  Matrix<const T> x;               // [N, D]
  Matrix<const T> baseline;        // [N, D]
  Matrix<const std::int64_t> ids;  // [N, D]; the row stride may be zero
  Matrix<const T> degrees;         // [S, players]
  Matrix<T> out;                   // [S * N, D]
};

// out[s, b, t, a] = first[p] * cells[s, b, left[p], a] + second[p] * cells[s, b, right, a], where
// p = shift[s] + t, and right is the cell behind left, if there is one.
struct Stretch {
  TensorView<const float, 4> cells;  // [S, B, C, A]
  Vector<const std::int64_t> left;   // [places]
  Vector<const float> first;         // [places]
  Vector<const float> second;        // [places]
  Vector<const std::int64_t> shift;  // [S]
  TensorView<float, 4> out;          // [S, B, T, A]
};

// With u = mask[s, d] - origin and c = scores[s, n], in the order of s:
// linear[0, d] += u, linear[1 + n, d] += c u,
// square[0, d] += u^2, square[1 + n, d] += c u^2, square[1 + N + n, d] += c^2 u^2
struct SumMasks {
  Matrix<double> linear;        // [1 + N, D]
  Matrix<double> square;        // [1 + 2 N, D]
  Matrix<const float> masks;    // [S, D]
  Matrix<const double> scores;  // [S, N]
  double origin;
};

// With u[s] the numbers of step first + s, from 0 to below 1, that numpy.random.Philox makes of the
// key (seed, stream), C + A numbers a step, rounded up to whole blocks of four:
// cells[s, c] = 1 where u[s, c] < keep, else 0; shifts[a, s] = u[s, C + a] * lengths[a], rounded
// down.
template <class T>
struct DrawCells {
  Matrix<T> cells;                     // [S, C]
  Matrix<std::int64_t> shifts;         // [A, S]
  Vector<const std::int64_t> lengths;  // [A]
  std::uint64_t seed;
  std::uint64_t stream;
  std::uint64_t first;
  double keep;
};

// The arithmetic of one element, whoever loops over them.

template <class T>
ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE inline T faded(T weight, T x, T b) {
  const T near = weight >= T(0.5) ? x : b;
  const T between = weight * (x - b) + b;
  const T made = x != x || b != b ? near : between;
  return weight == T(1) ? x : made;
}

ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE inline float between(float first, float here, float second,
                                                            float behind) {
  return first * here + second * behind;
}

// Blocks of four numbers that a step takes.
template <class T>
ONNXPLAIN_HOST_DEVICE inline std::int64_t blocks_of(const DrawCells<T>& op) {
  return (op.cells.shape[1] + op.shifts.shape[0] + 3) / 4;
}

// Writes what one block of a step decides.
template <class T>
ONNXPLAIN_HOST_DEVICE inline void draw_block(const DrawCells<T>& op, std::int64_t s,
                                             std::int64_t block) {
  const std::int64_t cells = op.cells.shape[1];
  const auto blocks = static_cast<std::uint64_t>(blocks_of(op));
  const std::uint64_t step = op.first + static_cast<std::uint64_t>(s);
  double drawn[4];
  four_uniforms(step * blocks + static_cast<std::uint64_t>(block), op.seed, op.stream, drawn);
  for (int k = 0; k < 4; ++k) {
    const std::int64_t place = 4 * block + k;
    if (place < cells) {
      op.cells.row(s)[place] = drawn[k] < op.keep ? T(1) : T(0);
    } else if (place - cells < op.shifts.shape[0]) {
      const auto length = static_cast<double>(op.lengths[place - cells]);
      op.shifts.row(place - cells)[s] = static_cast<std::int64_t>(drawn[k] * length);
    }
  }
}

namespace cpu {
template <class Word>
void choose(const Choose<Word>& op);
template <class Word>
void cover(const Cover<Word>& op);
void sum_boxes(const SumBoxes& op);
template <class T>
void fade(const Fade<T>& op);
void stretch(const Stretch& op);
void sum_masks(const SumMasks& op);
template <class T>
void draw_cells(const DrawCells<T>& op);
}  // namespace cpu

#ifdef ONNXPLAIN_WITH_CUDA
// These start work on a stream and return the status of the launch, which the caller must check.
// Boxes are not summed there: of their scores, which are few, the host makes the sums.
namespace cuda {
template <class Word>
[[nodiscard]] cudaError_t choose(const Choose<Word>& op, cudaStream_t stream);
template <class Word>
[[nodiscard]] cudaError_t cover(const Cover<Word>& op, cudaStream_t stream);
template <class T>
[[nodiscard]] cudaError_t fade(const Fade<T>& op, cudaStream_t stream);
template <class T>
[[nodiscard]] cudaError_t fade_players(const FadePlayers<T>& op, cudaStream_t stream);
[[nodiscard]] cudaError_t stretch(const Stretch& op, cudaStream_t stream);
[[nodiscard]] cudaError_t sum_masks(const SumMasks& op, cudaStream_t stream);
template <class T>
[[nodiscard]] cudaError_t draw_cells(const DrawCells<T>& op, cudaStream_t stream);
}  // namespace cuda
#endif

}  // namespace onnxplain

// Batches of which parts are taken away, and the sums of what a model answers to them.
//
// Rows of a batch of S steps are ordered step first: row s * N + n is example n at step s. Words
// are unsigned integers of an element's size: what only moves elements moves their bits, whatever
// they mean.
#pragma once

#include <cstdint>

#include "onnxplain/tensor_view.hpp"

namespace onnxplain {

// Axes that a box may have.
inline constexpr int kMaxBoxAxes = 8;

// out[s * N + n, d] = x[n, d] where ids[n, d] is negative or kept[s, n, ids[n, d]], else instead[s,
// n, d]
template <class Word>
struct Choose {
  Matrix<const Word> x;                    // [N, D]
  TensorView<const Word, 3> instead;       // [S, N, D]; strides may be zero
  Matrix<const std::int64_t> ids;          // [N, D], below P; the row stride may be zero
  TensorView<const std::uint8_t, 3> kept;  // [S, N, P]; the stride of N may be zero
  Matrix<Word> out;                        // [S * N, D]
};

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
}  // namespace cpu

}  // namespace onnxplain

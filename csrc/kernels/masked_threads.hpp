// The operations of masked_batches.hpp, as a GPU's threads do them. Where nothing else is said, a
// column is an element of one example, and a row is one of the batch.
#pragma once

#include "kernels/masked_batches.hpp"
#include "kernels/portions.hpp"

namespace onnxplain {

template <class Word>
ONNXPLAIN_HOST_DEVICE threads::Extent extent_of(const Choose<Word>& op) {
  return {op.out.shape[1], op.out.shape[0]};
}

template <class Word>
ONNXPLAIN_HOST_DEVICE void run_portion(const Choose<Word>& op, const threads::Portion& portion) {
  const auto [columns, rows] = extent_of(op);
  const std::int64_t examples = op.x.shape[0];
  for (std::int64_t d = portion.column; d < columns; d += portion.columns) {
    for (std::int64_t row = portion.row; row < rows; row += portion.rows) {
      const std::int64_t s = row / examples;
      const std::int64_t n = row - s * examples;
      const std::int64_t id = op.ids.row(n)[d];
      const bool here = id < 0 || op.kept.row(s)[n * op.kept.strides[1] + id] != 0;
      op.out.row(row)[d] = here ? op.x.row(n)[d] : stand_in(op, s, n)[d];
    }
  }
}

template <class Word>
ONNXPLAIN_HOST_DEVICE threads::Extent extent_of(const Cover<Word>& op) {
  return {op.out.shape[1], op.out.shape[0]};
}

template <class Word>
ONNXPLAIN_HOST_DEVICE void run_portion(const Cover<Word>& op, const threads::Portion& portion) {
  const auto [columns, rows] = extent_of(op);
  const std::int64_t examples = op.x.shape[0];
  const std::int64_t axes = op.boxes.shape.shape[0];
  for (std::int64_t d = portion.column; d < columns; d += portion.columns) {
    std::int64_t place[kMaxBoxAxes];
    std::int64_t rest = d;
    for (std::int64_t axis = axes - 1; axis >= 0; --axis) {
      place[axis] = rest % op.boxes.shape[axis];
      rest /= op.boxes.shape[axis];
    }
    for (std::int64_t row = portion.row; row < rows; row += portion.rows) {
      const std::int64_t s = row / examples;
      const std::int64_t n = row - s * examples;
      const std::int64_t* start = op.boxes.starts.row(s);
      bool within = true;
      for (std::int64_t axis = 0; axis < axes; ++axis) {
        const std::int64_t behind = place[axis] - start[axis];
        within = within && behind >= 0 && behind < op.boxes.window[axis];
      }
      op.out.row(row)[d] = (within ? op.instead : op.x).row(n)[d];
    }
  }
}

template <class T>
ONNXPLAIN_HOST_DEVICE threads::Extent extent_of(const Fade<T>& op) {
  return {op.out.shape[1], op.out.shape[0]};
}

template <class T>
ONNXPLAIN_HOST_DEVICE void run_portion(const Fade<T>& op, const threads::Portion& portion) {
  const auto [columns, rows] = extent_of(op);
  const std::int64_t examples = op.x.shape[0];
  for (std::int64_t d = portion.column; d < columns; d += portion.columns) {
    const std::int64_t cell = d / op.inner % op.mask.shape[2];
    for (std::int64_t row = portion.row; row < rows; row += portion.rows) {
      const std::int64_t s = row / examples;
      const std::int64_t n = row - s * examples;
      const T weight = op.mask.row(s)[n * op.mask.strides[1] + cell];
      op.out.row(row)[d] = faded(weight, op.x.row(n)[d], op.baseline.row(n)[d]);
    }
  }
}

template <class T>
ONNXPLAIN_HOST_DEVICE threads::Extent extent_of(const FadePlayers<T>& op) {
  return {op.out.shape[1], op.out.shape[0]};
}

template <class T>
ONNXPLAIN_HOST_DEVICE void run_portion(const FadePlayers<T>& op, const threads::Portion& portion) {
  const auto [columns, rows] = extent_of(op);
  const std::int64_t examples = op.x.shape[0];
  for (std::int64_t d = portion.column; d < columns; d += portion.columns) {
    for (std::int64_t row = portion.row; row < rows; row += portion.rows) {
      const std::int64_t s = row / examples;
      const std::int64_t n = row - s * examples;
      const std::int64_t who = op.ids.row(n)[d];
      const T weight = who < 0 ? T(1) : op.degrees.row(s)[who];
      op.out.row(row)[d] = faded(weight, op.x.row(n)[d], op.baseline.row(n)[d]);
    }
  }
}

// A column is one element of a drawn out mask, a row one step.
ONNXPLAIN_HOST_DEVICE inline threads::Extent extent_of(const Stretch& op) {
  return {op.out.shape[1] * op.out.shape[2] * op.out.shape[3], op.out.shape[0]};
}

ONNXPLAIN_HOST_DEVICE inline void run_portion(const Stretch& op, const threads::Portion& portion) {
  const auto [columns, rows] = extent_of(op);
  const std::int64_t cells = op.cells.shape[2];
  const std::int64_t length = op.out.shape[2];
  const std::int64_t after = op.out.shape[3];
  for (std::int64_t d = portion.column; d < columns; d += portion.columns) {
    const std::int64_t line = d / after;
    const std::int64_t a = d - line * after;
    const std::int64_t b = line / length;
    const std::int64_t t = line - b * length;
    for (std::int64_t s = portion.row; s < rows; s += portion.rows) {
      const std::int64_t place = op.shift[s] + t;
      const std::int64_t here = op.left[place];
      const std::int64_t behind = here + 1 < cells ? here + 1 : cells - 1;
      const float* own = op.cells.row(s) + b * cells * after + a;
      op.out.row(s)[d] =
          between(op.first[place], own[here * after], op.second[place], own[behind * after]);
    }
  }
}

// A column is one element; the first row is the masks alone, the others those of one example.
ONNXPLAIN_HOST_DEVICE inline threads::Extent extent_of(const SumMasks& op) {
  return {op.masks.shape[1], 1 + op.scores.shape[1]};
}

ONNXPLAIN_HOST_DEVICE inline void run_portion(const SumMasks& op, const threads::Portion& portion) {
  const auto [columns, rows] = extent_of(op);
  const std::int64_t steps = op.scores.shape[0];
  for (std::int64_t d = portion.column; d < columns; d += portion.columns) {
    for (std::int64_t row = portion.row; row < rows; row += portion.rows) {
      double linear = op.linear.row(row)[d];
      double square = op.square.row(row)[d];
      double twice = row == 0 ? 0.0 : op.square.row(rows - 1 + row)[d];
      for (std::int64_t s = 0; s < steps; ++s) {
        const double u = static_cast<double>(op.masks.row(s)[d]) - op.origin;
        const double squared = u * u;
        const double score = row == 0 ? 1.0 : op.scores.row(s)[row - 1];
        linear += score * u;
        square += score * squared;
        twice += score * score * squared;
      }
      op.linear.row(row)[d] = linear;
      op.square.row(row)[d] = square;
      if (row > 0) {
        op.square.row(rows - 1 + row)[d] = twice;
      }
    }
  }
}

// A column is a Philox block, which makes four numbers; a row is one step.
template <class T>
ONNXPLAIN_HOST_DEVICE threads::Extent extent_of(const DrawCells<T>& op) {
  return {blocks_of(op), op.cells.shape[0]};
}

template <class T>
ONNXPLAIN_HOST_DEVICE void run_portion(const DrawCells<T>& op, const threads::Portion& portion) {
  const auto [columns, rows] = extent_of(op);
  for (std::int64_t block = portion.column; block < columns; block += portion.columns) {
    for (std::int64_t s = portion.row; s < rows; s += portion.rows) {
      draw_block(op, s, block);
    }
  }
}

}  // namespace onnxplain

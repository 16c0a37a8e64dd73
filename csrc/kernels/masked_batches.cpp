#include "kernels/masked_batches.hpp"

#include <algorithm>
#include <type_traits>

#include "onnxplain/parallel.hpp"

namespace onnxplain::cpu {
namespace {

// Elements worked on at a time, few enough to stay in the first-level cache.
constexpr std::int64_t kTile = 1024;

// Items that a thread should at least be given, if each visits so many elements.
std::int64_t grain_of(std::int64_t elements) {
  return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(elements, 1));
}

// Calls body(offset, length) on each run of consecutive elements of a box.
template <class Body>
void for_each_run(const Boxes& boxes, std::int64_t box, const Body& body) {
  const std::int64_t axes = boxes.shape.shape[0];
  const std::int64_t* start = boxes.starts.row(box);
  std::int64_t low[kMaxBoxAxes];
  std::int64_t high[kMaxBoxAxes];
  std::int64_t place[kMaxBoxAxes];
  for (std::int64_t axis = 0; axis < axes; ++axis) {
    low[axis] = std::clamp<std::int64_t>(start[axis], 0, boxes.shape[axis]);
    high[axis] =
        std::clamp<std::int64_t>(start[axis] + boxes.window[axis], low[axis], boxes.shape[axis]);
    if (low[axis] == high[axis]) {
      return;
    }
    place[axis] = low[axis];
  }
  const std::int64_t last = axes - 1;
  while (true) {
    std::int64_t offset = 0;
    for (std::int64_t axis = 0; axis < axes; ++axis) {
      offset = offset * boxes.shape[axis] + place[axis];
    }
    body(offset, high[last] - low[last]);
    std::int64_t axis = last - 1;
    while (axis >= 0 && ++place[axis] == high[axis]) {
      place[axis] = low[axis];
      --axis;
    }
    if (axis < 0) {
      return;
    }
  }
}

}  // namespace

template <class Word>
void choose(const Choose<Word>& op) {
  const std::int64_t rows = op.x.shape[0];
  const std::int64_t cols = op.x.shape[1];
  const std::int64_t tiles = (cols + kTile - 1) / kTile;
  const bool shared = op.ids.strides[0] == 0 && op.kept.strides[1] == 0;
  parallel_for(op.kept.shape[0] * tiles, grain_of(std::min(cols, kTile) * (rows + 1)),
               [&](std::int64_t from, std::int64_t to) {
                 Word stays[kTile];  // all bits of an element that stays, none of one that does not
                 for (std::int64_t item = from; item < to; ++item) {
                   const std::int64_t step = item / tiles;
                   const std::int64_t begin = item % tiles * kTile;
                   const std::int64_t count = std::min(kTile, cols - begin);
                   for (std::int64_t n = 0; n < rows; ++n) {
                     if (n == 0 || !shared) {
                       const std::int64_t* ids = op.ids.row(n) + begin;
                       const std::uint8_t* kept = op.kept.row(step) + n * op.kept.strides[1];
                       for (std::int64_t d = 0; d < count; ++d) {
                         const bool here = ids[d] < 0 || kept[ids[d]] != 0;
                         stays[d] = here ? static_cast<Word>(~Word{0}) : Word{0};
                       }
                     }
                     const Word* x = op.x.row(n) + begin;
                     const Word* instead = stand_in(op, step, n) + begin;
                     Word* out = op.out.row(step * rows + n) + begin;
                     for (std::int64_t d = 0; d < count; ++d) {
                       out[d] = static_cast<Word>((x[d] & stays[d]) | (instead[d] & ~stays[d]));
                     }
                   }
                 }
               });
}

template <class Word>
void cover(const Cover<Word>& op) {
  const std::int64_t rows = op.x.shape[0];
  const std::int64_t cols = op.x.shape[1];
  parallel_for(op.out.shape[0], grain_of(cols), [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t row = from; row < to; ++row) {
      const Word* instead = op.instead.row(row % rows);
      Word* out = op.out.row(row);
      std::copy_n(op.x.row(row % rows), cols, out);
      for_each_run(op.boxes, row / rows, [&](std::int64_t offset, std::int64_t length) {
        std::copy_n(instead + offset, length, out + offset);
      });
    }
  });
}

void sum_boxes(const SumBoxes& op) {
  const std::int64_t steps = op.lost.shape[0];
  parallel_for(op.total.shape[0], grain_of(op.total.shape[1]),
               [&](std::int64_t from, std::int64_t to) {
                 for (std::int64_t n = from; n < to; ++n) {
                   double* total = op.total.row(n);
                   for (std::int64_t s = 0; s < steps; ++s) {
                     const double lost = op.lost.row(s)[n];
                     for_each_run(op.boxes, s, [&](std::int64_t offset, std::int64_t length) {
                       for (std::int64_t d = offset; d < offset + length; ++d) {
                         total[d] += lost;
                       }
                     });
                   }
                 }
               });
}

template <class T>
void fade(const Fade<T>& op) {
  const std::int64_t rows = op.x.shape[0];
  const std::int64_t cols = op.x.shape[1];
  const std::int64_t cells = op.mask.shape[2];
  parallel_for(op.out.shape[0], grain_of(cols), [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t row = from; row < to; ++row) {
      const std::int64_t n = row % rows;
      const T* mask = op.mask.row(row / rows) + n * op.mask.strides[1];
      const T* x = op.x.row(n);
      const T* b = op.baseline.row(n);
      T* out = op.out.row(row);
      for (std::int64_t first = 0; first < cols; first += cells * op.inner) {
        if (op.inner == 1) {
          for (std::int64_t c = 0; c < cells; ++c) {
            out[first + c] = faded(mask[c], x[first + c], b[first + c]);
          }
          continue;
        }
        for (std::int64_t c = 0; c < cells; ++c) {
          const std::int64_t begin = first + c * op.inner;
          for (std::int64_t d = begin; d < begin + op.inner; ++d) {
            out[d] = faded(mask[c], x[d], b[d]);
          }
        }
      }
    }
  });
}

void stretch(const Stretch& op) {
  const std::int64_t before = op.out.shape[1];
  const std::int64_t length = op.out.shape[2];
  const std::int64_t after = op.out.shape[3];
  const std::int64_t cells = op.cells.shape[2];
  parallel_for(op.out.shape[0], grain_of(before * length * after),
               [&](std::int64_t from, std::int64_t to) {
                 for (std::int64_t s = from; s < to; ++s) {
                   const std::int64_t* left = op.left.data + op.shift[s];
                   const float* first = op.first.data + op.shift[s];
                   const float* second = op.second.data + op.shift[s];
                   for (std::int64_t b = 0; b < before; ++b) {
                     const float* line = op.cells.row(s) + b * cells * after;
                     float* out = op.out.row(s) + b * length * after;
                     for (std::int64_t t = 0; t < length; ++t) {
                       const float* here = line + left[t] * after;
                       const float* behind = line + std::min(left[t] + 1, cells - 1) * after;
                       for (std::int64_t a = 0; a < after; ++a) {
                         out[t * after + a] = between(first[t], here[a], second[t], behind[a]);
                       }
                     }
                   }
                 }
               });
}

void sum_masks(const SumMasks& op) {
  constexpr std::int64_t kWide = 128;
  const std::int64_t steps = op.scores.shape[0];
  const std::int64_t rows = op.scores.shape[1];
  const std::int64_t cols = op.masks.shape[1];
  const std::int64_t tiles = (cols + kWide - 1) / kWide;
  parallel_for(tiles, grain_of(std::min(cols, kWide) * steps * (3 * rows + 2)),
               [&](std::int64_t from, std::int64_t to) {
                 double u[kWide];
                 double squared[kWide];
                 for (std::int64_t tile = from; tile < to; ++tile) {
                   const std::int64_t begin = tile * kWide;
                   const std::int64_t count = std::min(kWide, cols - begin);
                   const auto add = [&](double* sums, double factor, const double* terms) {
                     for (std::int64_t d = 0; d < count; ++d) {
                       sums[begin + d] += factor * terms[d];
                     }
                   };
                   for (std::int64_t s = 0; s < steps; ++s) {
                     const float* mask = op.masks.row(s) + begin;
                     for (std::int64_t d = 0; d < count; ++d) {
                       u[d] = static_cast<double>(mask[d]) - op.origin;
                       squared[d] = u[d] * u[d];
                     }
                     add(op.linear.row(0), 1.0, u);
                     add(op.square.row(0), 1.0, squared);
                     for (std::int64_t n = 0; n < rows; ++n) {
                       const double score = op.scores.row(s)[n];
                       add(op.linear.row(1 + n), score, u);
                       add(op.square.row(1 + n), score, squared);
                       add(op.square.row(1 + rows + n), score * score, squared);
                     }
                   }
                 }
               });
}

template <class T>
void draw_cells(const DrawCells<T>& op) {
  const std::int64_t blocks = blocks_of(op);
  // One number costs about as much as ten plain elements.
  parallel_for(op.cells.shape[0], grain_of(40 * blocks), [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t s = from; s < to; ++s) {
      for (std::int64_t block = 0; block < blocks; ++block) {
        draw_block(op, s, block);
      }
    }
  });
}

template void choose(const Choose<std::uint8_t>&);
template void choose(const Choose<std::uint16_t>&);
template void choose(const Choose<std::uint32_t>&);
template void choose(const Choose<std::uint64_t>&);
template void cover(const Cover<std::uint8_t>&);
template void cover(const Cover<std::uint16_t>&);
template void cover(const Cover<std::uint32_t>&);
template void cover(const Cover<std::uint64_t>&);
template void fade(const Fade<float>&);
template void fade(const Fade<double>&);
template void draw_cells(const DrawCells<float>&);
template void draw_cells(const DrawCells<std::uint8_t>&);

}  // namespace onnxplain::cpu

// Max pooling walked back row by row where the numbers of a row lie one behind the other, without
// blocks: lanes of a vector have windows next to each other, and nothing is turned.
//
// For that a row is split in as many phases as the stride: phase p has the numbers p, p +
// stride..., so that what windows next to each other have at the same place lies one behind the
// other, too. Around them lies what is no number, which is no window's maximum. What windows give
// to a place is kept for each place of a window, and then added up from the last window to the
// first.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/half.hpp"
#include "kernels/planes.hpp"
#include "kernels/pool_windows.hpp"

namespace onnxplain::cpu {

// A row of windows over the row that is worked on.
struct WindowRow {
  const float* y;
  const float* g;
  std::uint32_t* open;  // all bits where a window's first maximum was not found yet
};

// Some rows of a plane, split. Pointers are those of the first row.
struct SplitRows {
  std::int64_t length;
  std::int64_t stride;
  std::int64_t windows;
  std::int64_t wide;                  // from one phase to the next, in `phases`
  std::int64_t tall;                  // in `made`
  std::int64_t next;                  // from one row to the next, in `phases`
  std::int64_t next_given;            // in what is given
  float* phases;                      // what was pooled
  float* made;                        // what goes to it
  std::vector<const float*> values;   // for each place of a window: that of the first one
  std::vector<float*> given;          // what the windows give to that place
  std::vector<std::int64_t> count;    // for each phase: from how many places it gets something,
  std::vector<const float*> arrives;  // and where from, for all phases
};

class PoolRows {
 public:
  // Whether this is the best way; if not, planes are worked on side by side.
  static bool suit(const WindowAxis& across, const Planes& in, const Planes& out);

  PoolRows(const WindowAxis& down, const WindowAxis& across, const Planes& in, const Planes& out);
  PoolRows(const PoolRows&) = delete;
  PoolRows& operator=(const PoolRows&) = delete;

  // One plane: x is what was pooled, y the maxima, g a number for each, dx the result.
  template <class T>
  void walk(const T* x, const T* y, const T* g, T* dx);

 private:
  // Copies rows of windows that the row reaches, but for those that are there; y and g are those of
  // the plane.
  template <class T>
  void open(const Reached& reached, const T* y, const T* g);
  // Finds those that have places in the row, the last one first; returns how many there are.
  std::int64_t find(const Reached& reached, std::int64_t row, WindowRow* found) const;

  WindowAxis down_;
  std::int64_t height_;
  std::int64_t width_;
  std::int64_t rows_;  // of windows
  std::int64_t windows_;
  std::int64_t padded_;
  std::int64_t together_;    // rows that are worked on at once
  std::int64_t ring_;        // rows of windows that they reach
  std::int64_t opened_ = 0;  // the row of windows that is copied next,
  std::int64_t newest_ = 0;  // and where in the ring the one before it lies
  std::vector<float> phases_, made_, given_;
  std::vector<float> y_, g_, lines_;
  std::vector<std::uint32_t> open_;
  std::vector<WindowRow> ring_rows_;
  std::vector<WindowRow> reached_;    // by the first of the rows, the next...
  std::vector<std::int64_t> number_;  // for each: by how many
  SplitRows split_;
  void (*work_)(const SplitRows& split, const float* from, std::int64_t rows,
                const WindowRow* windows, const std::int64_t* number, float* to);
};

}  // namespace onnxplain::cpu

// The walk back through max pooling over two axes: each window's number goes to the window's first
// maximum, row by row, which is found anew by comparing. The order of sums is that of the portable
// form in ONNX's operators: along the height first, from the last window to the first, so the bits
// are the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/half.hpp"
#include "kernels/planes.hpp"
#include "kernels/pool_rows.hpp"
#include "kernels/pool_windows.hpp"

namespace onnxplain {
namespace cpu {

// How many planes without blocks are best worked on at once, as if they were a block.
std::int64_t planes_together(const WindowAxis& across, const Planes& in, const Planes& out);

// Memory for planes that are worked on at once: some rows of them, and the rows of windows that are
// open there. Planes of float16 are copied as float32, in which all sums are made; they have no
// blocks.
class PoolScratch {
 public:
  PoolScratch(const WindowAxis& down, const WindowAxis& across, const Planes& in, const Planes& out,
              std::int64_t side_by_side, bool is_copied = false);

  std::optional<PoolRows> rows;  // if there, all that is needed
  std::int64_t together;
  bool copied;                      // else planes are worked on as they lie
  std::int64_t ring;                // rows of windows that may be open at once
  std::vector<float> maxima;        // of the row's windows
  std::vector<float> sums;          // what goes to them
  std::vector<std::uint32_t> open;  // all bits where a window's first maximum was not found yet
  std::vector<float> x, y, g, dx;   // copies
};

// Planes one behind the other, at most as many as the scratch is for: x is what was pooled, y the
// maxima, g a number for each, dx the result, of x's shape.
template <class T>
void max_pool_grad(const WindowAxis& down, const WindowAxis& across, const Planes& in,
                   const Planes& out, const T* x, const T* y, const T* g, T* dx, std::int64_t count,
                   PoolScratch& scratch);

}  // namespace cpu
}  // namespace onnxplain

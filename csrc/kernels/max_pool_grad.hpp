// The walk back through max pooling over two axes: each window's number goes to the window's first
// maximum, row by row, which is found anew by comparing. The order of sums is that of the portable
// form in ONNX's operators: along the height first, from the last window to the first, so the bits
// are the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/half.hpp"
#include "kernels/planes.hpp"

namespace onnxplain {

// Where windows lie along one axis.
struct WindowAxis {
  std::int64_t kernel;
  std::int64_t stride;
  std::int64_t dilation;
  std::int64_t begin;  // the pad before the first element
};

namespace cpu {

// How many planes without blocks are best worked on at once, as if they were a block.
std::int64_t planes_together(const Planes& in);

// Of float16, planes have no blocks: they are copied as float32, in which all sums are made.

// Memory for planes that are worked on at once.
class PoolScratch {
 public:
  PoolScratch(const Planes& in, const Planes& out, std::int64_t side_by_side, bool copied = false);

  std::int64_t together;
  std::vector<float> maxima;       // of each row's windows, where windows overlap
  std::vector<float> sums;         // what goes to each row's windows
  std::vector<float> x, y, g, dx;  // copies; empty where planes are worked on as they lie
};

// Planes one behind the other, at most as many as the scratch is for: x is what was pooled, y the
// maxima, g a number for each, dx the result, of x's shape.
void max_pool_grad(const WindowAxis& down, const WindowAxis& across, const Planes& in,
                   const Planes& out, const float* x, const float* y, const float* g, float* dx,
                   std::int64_t count, PoolScratch& scratch);
void max_pool_grad(const WindowAxis& down, const WindowAxis& across, const Planes& in,
                   const Planes& out, const Half* x, const Half* y, const Half* g, Half* dx,
                   std::int64_t count, PoolScratch& scratch);

}  // namespace cpu
}  // namespace onnxplain

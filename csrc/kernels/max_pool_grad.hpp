// The walk back through max pooling over two axes: each window's number goes to the window's first
// maximum, row by row, which is found anew by comparing. The order of sums is that of the portable
// form in ONNX's operators: along the height first, from the last window to the first, so the bits
// are the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

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

// Memory for one plane.
class PoolScratch {
 public:
  // Numbers for an input of `height` rows whose windows leave `pooled` columns.
  PoolScratch(std::int64_t height, std::int64_t pooled, std::int64_t block)
      : maxima(static_cast<std::size_t>(height * pooled * block)), sums(maxima.size()) {}

  std::vector<float> maxima;  // of each row's windows
  std::vector<float> sums;    // what goes to each row's windows
};

// One plane: x is what was pooled, y the maxima, g a number for each, dx the result, of x's shape.
void max_pool_grad(const WindowAxis& down, const WindowAxis& across, const Planes& in,
                   const Planes& out, const float* x, const float* y, const float* g, float* dx,
                   PoolScratch& scratch);

}  // namespace cpu
}  // namespace onnxplain

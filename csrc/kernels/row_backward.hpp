// Walks back through what is computed over rows: softmax, and normalisation by layer or by root
// mean square, each in one pass over memory.
//
// All rows lie one behind the other. A row's sums are made in float32, in an order that depends on
// its length alone: in lanes, which are then added pairwise (lanes.hpp). So the result does not
// depend on threads or on the processor, and differs from the same written out as operators of the
// standard by the rounding of these sums. Rows of float16 are computed in float32, and the result
// alone is rounded.
#pragma once

#include <cstdint>

#include "kernels/half.hpp"

namespace onnxplain {

// A normalisation: what is subtracted from a row and what it is divided by. With n the normalised
// row, g what arrives (times the scale), d the deviation or the root mean square:
//   dx = (g - mean(g) - n mean(g n)) / d  if rows are centred, dx = (g - n mean(g n)) / d if not;
// without n mean(g n) where d counts as a constant.
struct Normalisation {
  bool centred;
  bool constant;
  float epsilon;
};

namespace cpu {

// Rows [begin, end) of dx = y (g - sum(g y)).
void softmax_backward(const float* y, const float* g, std::int64_t size, std::int64_t begin,
                      std::int64_t end, float* dx);
void softmax_backward(const Half* y, const Half* g, std::int64_t size, std::int64_t begin,
                      std::int64_t end, Half* dx);

// Rows [begin, end). The scale has `size` numbers, or is null: one for all.
void norm_backward(const Normalisation& norm, const float* x, const float* g, const float* scale,
                   std::int64_t size, std::int64_t begin, std::int64_t end, float* dx);
void norm_backward(const Normalisation& norm, const Half* x, const Half* g, const float* scale,
                   std::int64_t size, std::int64_t begin, std::int64_t end, Half* dx);

}  // namespace cpu

}  // namespace onnxplain

// Gives the inputs of a layer what is missing of the relevance that its outputs got
// (onnxplain/backward/rules/scale.py).
//
// A row is what lies along some axes: of `relevance` (R, at the outputs) and of `given` (G, what
// the inputs get). Each row becomes
//   G + (sum R - sum G) |G| / sum |G|,  and (sum R - sum G) / n where its n numbers are 0.
// Sums are made in double precision, in an order that depends on the shapes alone (sum_order.hpp),
// the same on all devices.
#pragma once

#include <cstdint>

#include "kernels/half.hpp"
#include "kernels/sum_order.hpp"

namespace onnxplain {

// Both tensors are (outer, row, inner); the rows of R have `above` numbers, those of G `below`.
struct ShareRows {
  std::int64_t outer = 1;
  std::int64_t above = 1;
  std::int64_t below = 1;
  std::int64_t inner = 1;
};

struct ShareSums {
  double relevance = 0.0;
  double given = 0.0;
  double size = 0.0;
};

namespace cpu {

// Numbers of a row that are added at once: so many pieces as are added one after the other.
inline constexpr std::int64_t kShareChunk = kFan * kPiece;

// Rows that lie as they are in memory (inner = 1): sums of chunks, those of a whole row from its
// chunks', and the result of a chunk from those of the row.
ShareSums share_sums(const float* relevance, std::int64_t above, const float* given,
                     std::int64_t below);
ShareSums share_sums(const Half* relevance, std::int64_t above, const Half* given,
                     std::int64_t below);
ShareSums together(const ShareSums* chunks, std::int64_t count);
void give(const ShareSums& sums, std::int64_t below, const float* given, std::int64_t count,
          float* to);
void give(const ShareSums& sums, std::int64_t below, const Half* given, std::int64_t count,
          Half* to);

// Rows across memory: `inner` of them lie side by side. Computes columns [begin, end) of one outer
// place.
void give_columns(const ShareRows& rows, const float* relevance, const float* given,
                  std::int64_t begin, std::int64_t end, float* to);
void give_columns(const ShareRows& rows, const Half* relevance, const Half* given,
                  std::int64_t begin, std::int64_t end, Half* to);

}  // namespace cpu
}  // namespace onnxplain

// Convolutions with kernels of 3 x 3 by Winograd's algorithm F(4 x 4, 3 x 3): tiles of 4 x 4 places
// take 36 products for each pair of channels instead of 144.
//
// Of a tile's 6 x 6 places X and a kernel's 3 x 3 numbers K the result is A' (G K G' * B' X B) A,
// for matrices that interpolate polynomials at 0, 5/8, -5/8, 3/2, -3/2 and infinity: with these
// points its rounding is two to four times that of a plain sum, with the usual ones (0, 1, -1, 2,
// -2) more than twice as much again. It is relative to what is largest in the tile, in the channels
// together.
#pragma once

#include <cstdint>

#include "kernels/planes.hpp"

namespace onnxplain {

// Channels that lie together in kernels, of which those of values and results are multiples.
inline constexpr std::int64_t kWinogradBlock = 16;
// Numbers of a kernel.
inline constexpr std::int64_t kWinogradKernel = 9;
// Rows and columns of the result in a tile.
inline constexpr std::int64_t kWinogradTile = 4;

struct WinogradConv {
  std::int64_t channels;  // of the value
  std::int64_t made;      // of the result
  std::int64_t begin[2];  // pads before, down and across
  std::int64_t to[2];     // rows and columns of the result

  // Tiles along an axis.
  std::int64_t tiles(int axis) const { return (to[axis] + kWinogradTile - 1) / kWinogradTile; }
};

namespace cpu {

// All samples, in memory one behind the other.
struct WinogradData {
  const float* from;
  std::int64_t rows;  // of what is given
  std::int64_t columns;
  std::int64_t block;   // channels that lie together
  const float* kernel;  // (made / kWinogradBlock, channels, kWinogradKernel, kWinogradBlock)
  float* to;
  std::int64_t block_to;
};

// Numbers that winograd_rows needs for so many rows of tiles, best at the begin of a line of the
// caches.
std::int64_t winograd_scratch(const WinogradConv& conv, std::int64_t columns, std::int64_t rows);

// Makes rows [begin, end) of tiles, counted over all samples, in channels [first, last); both are
// multiples of kWinogradBlock. The order of sums does not depend on which are made.
void winograd_rows(const WinogradConv& conv, const WinogradData& data, std::int64_t begin,
                   std::int64_t end, std::int64_t first, std::int64_t last, float* scratch);

}  // namespace cpu
}  // namespace onnxplain

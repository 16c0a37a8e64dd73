#include "kernels/moments.hpp"

#include <algorithm>

#include "onnxplain/parallel.hpp"

namespace onnxplain::cpu {
namespace {

// Elements worked on at a time, whose sums stay in the first-level cache.
constexpr std::int64_t kTile = 256;

}  // namespace

template <class T>
void add_powers(const AddPowers<T>& op) {
  const std::int64_t powers = op.sums.shape[0];
  const std::int64_t steps = op.samples.shape[0];
  const std::int64_t cols = op.samples.shape[1];
  const std::int64_t tiles = (cols + kTile - 1) / kTile;
  const std::int64_t work = std::max<std::int64_t>(1, std::min(cols, kTile) * steps * powers);
  parallel_for(tiles, std::max<std::int64_t>(1, kGrain / work),
               [&](std::int64_t from, std::int64_t to) {
                 for (std::int64_t tile = from; tile < to; ++tile) {
                   const std::int64_t begin = tile * kTile;
                   const std::int64_t count = std::min(kTile, cols - begin);
                   double sums[kMostPowers][kTile] = {};
                   double differences[kTile];
                   double power[kTile];
                   for (std::int64_t s = 0; s < steps; ++s) {
                     const T* samples = op.samples.row(s) + begin;
                     const double* first = op.first.data + begin;
                     for (std::int64_t d = 0; d < count; ++d) {
                       differences[d] = difference(samples[d], first[d], op.squared);
                       power[d] = differences[d];
                       sums[0][d] += power[d];
                     }
                     for (std::int64_t k = 1; k < powers; ++k) {
                       for (std::int64_t d = 0; d < count; ++d) {
                         power[d] *= differences[d];
                         sums[k][d] += power[d];
                       }
                     }
                   }
                   for (std::int64_t k = 0; k < powers; ++k) {
                     double* total = op.sums.row(k) + begin;
                     for (std::int64_t d = 0; d < count; ++d) {
                       total[d] += sums[k][d];
                     }
                   }
                 }
               });
}

template void add_powers(const AddPowers<float>&);
template void add_powers(const AddPowers<double>&);

}  // namespace onnxplain::cpu

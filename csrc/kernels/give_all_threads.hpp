// What GiveAll does on a GPU: rows of few numbers by some threads each; of all others first the
// sums, then the shares, then the result. Nothing here needs a GPU.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/elementwise_threads.hpp"
#include "kernels/give_all_steps.hpp"
#include "kernels/planes.hpp"
#include "kernels/sum_threads.hpp"

namespace onnxplain::threads {

// Numbers of rows that stay in the first cache until they are read again.
inline constexpr std::int64_t kShortRow = 2048;
static_assert(kShortRow <= kFan * kPiece);

struct GiveLaunch {
  ShareRows rows;
  const float* relevance;
  const float* given;
  float* to;

  std::int64_t count() const { return rows.outer * rows.inner; }
  bool is_short() const {
    return rows.inner == 1 && rows.above <= kShortRow && rows.below <= kShortRow;
  }
};

// One short row; `lanes` has some threads, or all lanes.
template <class Lanes>
ONNXPLAIN_HOST_DEVICE inline void give_row(const GiveLaunch& launch, const Lanes& lanes,
                                           std::int64_t row) {
  const ShareRows& rows = launch.rows;
  const float* given = launch.given + row * rows.below;
  float* to = launch.to + row * rows.below;
  const Share share = Share::of(
      sums_of_row(lanes, launch.relevance + row * rows.above, rows.above, given, rows.below),
      rows.below);
  lanes.each(rows.below, [=](std::int64_t i) { to[i] = share.added_to(given[i]); });
}

// The sums of rows of `length` numbers: of relevance, or of what inputs get, with its sizes.
inline SumLaunch sums_of(const float* from, const ShareRows& rows, std::int64_t length,
                         bool sizes) {
  SumLaunch sums{};
  sums.from = from;
  sums.total = rows.outer * rows.inner;
  sums.along = rows.inner == 1;
  sums.sizes = sizes;
  if (sums.along) {
    sums.kept = {1, {rows.outer}, {length}};
    sums.cut = cut_along(1, length);
  } else {
    sums.kept = {2, {rows.outer, rows.inner}, {length * rows.inner, 1}};
    sums.summed = {1, {length}, {rows.inner}};
    sums.cut = cut_across(length);
  }
  return sums;
}

// The result, when the shares of all rows are there.
struct SharedLaunch {
  Planes places;  // (outer, 1, below, inner)
  const float* given;
  const Share* shares;  // (outer, inner)
  float* out;
  bool aligned;
  std::int64_t total;

  bool is_small() const { return total <= kMostIn32; }
  template <class Index, int Width>
  ONNXPLAIN_HOST_DEVICE void run(std::int64_t element, int count) const;
};

inline SharedLaunch shared_launch(const GiveLaunch& launch, const Share* shares) {
  const ShareRows& rows = launch.rows;
  return {{rows.outer, 1, rows.below, rows.inner},
          launch.given,
          shares,
          launch.to,
          is_aligned(launch.given) && is_aligned<float>(launch.to),
          rows.outer * rows.below * rows.inner};
}

template <class Index, int Width>
ONNXPLAIN_HOST_DEVICE inline void SharedLaunch::run(std::int64_t element, int count) const {
  const Input<float> from{given, 0, 0, false, aligned};
  const Pack<Width> values = read<Index, Width>(from, nullptr, element, count);
  Place<Index> at(places, static_cast<Index>(element));
  Pack<Width> made{};
  ONNXPLAIN_UNROLL
  for (int i = 0; i < Width; ++i) {
    if (i < count) {
      made.at[i] = shares[at.plane * at.lanes + at.lane].added_to(values.at[i]);
      at.next();
    }
  }
  write(out, aligned, element, count, made);
}

}  // namespace onnxplain::threads

#ifdef ONNXPLAIN_WITH_CUDA
namespace onnxplain::cuda {
// Starts work on a stream and returns the status of the launch, which the caller must check.
[[nodiscard]] cudaError_t give_all(const threads::GiveLaunch& launch, cudaStream_t stream);
}  // namespace onnxplain::cuda
#endif

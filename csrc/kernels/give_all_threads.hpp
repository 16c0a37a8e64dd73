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

template <class T>
struct GiveLaunch {
  ShareRows shape;
  const T* relevance;
  const T* given;
  T* to;

  std::int64_t count() const { return shape.outer * shape.inner; }
  bool is_short() const {
    return shape.inner == 1 && shape.above <= kShortRow && shape.below <= kShortRow;
  }
};

// Short rows.
template <class T>
struct ShortLaunch {
  GiveLaunch<T> all;
  std::int64_t rows;

  // `lanes` has some threads, or all lanes.
  template <class Lanes>
  ONNXPLAIN_HOST_DEVICE void run_row(const Lanes& lanes, std::int64_t row) const {
    const std::int64_t above = all.shape.above;
    const std::int64_t below = all.shape.below;
    const T* given = all.given + row * below;
    T* to = all.to + row * below;
    const Share share =
        Share::of(sums_of_row(lanes, all.relevance + row * above, above, given, below), below);
    lanes.each(below,
               [=](std::int64_t i) { to[i] = from_float<T>(share.added_to(to_float(given[i]))); });
  }
};

// The sums of rows of `length` numbers: of relevance, or of what inputs get, with its sizes.
template <class T>
SumLaunch<T> sums_of(const T* from, const ShareRows& rows, std::int64_t length, bool sizes) {
  SumLaunch<T> sums{};
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

// The shares of rows, of their sums: of relevance, of what inputs get, and of its sizes, one behind
// the other.
struct SharesLaunch {
  const double* sums;
  std::int64_t below;
  Share* shares;
  std::int64_t total;

  bool is_small() const { return total <= kMostIn32; }
  template <class Index, int Width>
  ONNXPLAIN_HOST_DEVICE void run(std::int64_t element, int count) const {
    for (std::int64_t row = element; row < element + count; ++row) {
      shares[row] = Share::of({sums[row], sums[total + row], sums[2 * total + row]}, below);
    }
  }
};

// The result, when the shares of all rows are there.
template <class T>
struct SharedLaunch {
  Planes places;  // (outer, 1, below, inner)
  const T* given;
  const Share* shares;  // (outer, inner)
  T* out;
  bool aligned;
  std::int64_t total;

  bool is_small() const { return total <= kMostIn32; }
  template <class Index, int Width>
  ONNXPLAIN_HOST_DEVICE void run(std::int64_t element, int count) const;
};

template <class T>
SharedLaunch<T> shared_launch(const GiveLaunch<T>& launch, const Share* shares) {
  const ShareRows& rows = launch.shape;
  return {{rows.outer, 1, rows.below, rows.inner},
          launch.given,
          shares,
          launch.to,
          is_aligned(launch.given) && is_aligned<T>(launch.to),
          rows.outer * rows.below * rows.inner};
}

template <class T>
template <class Index, int Width>
ONNXPLAIN_HOST_DEVICE inline void SharedLaunch<T>::run(std::int64_t element, int count) const {
  const Input<T> from{given, 0, 0, false, aligned};
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
template <class T>
[[nodiscard]] cudaError_t give_all(const threads::GiveLaunch<T>& launch, cudaStream_t stream);
}  // namespace onnxplain::cuda
#endif

// Long sums as a GPU's threads make them: pieces first, one or some threads each, and then the sums
// of pieces, kFan at a time, in as many rounds as it takes (sum_order.hpp). Nothing here needs a
// GPU.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/half.hpp"
#include "kernels/sum_order.hpp"

#ifdef __CUDACC__
#define ONNXPLAIN_UNROLL_SOME _Pragma("unroll 8")  // so many reads are under way at once
#else
#define ONNXPLAIN_UNROLL_SOME
#endif

namespace onnxplain::threads {

// Axes, or runs of them, with their steps in memory.
inline constexpr int kMostRuns = 8;

struct Runs {
  std::int32_t count;
  std::int64_t length[kMostRuns];
  std::int64_t stride[kMostRuns];

  // Where a place lies that is counted in the order of memory.
  ONNXPLAIN_HOST_DEVICE std::int64_t offset(std::int64_t place) const {
    std::int64_t found = 0;
    for (int k = count - 1; k >= 0; --k) {
      std::int64_t at = place;
      if (k > 0) {
        place /= length[k];
        at -= place * length[k];
      }
      found += at * stride[k];
    }
    return found;
  }
};

// `total` sums of the numbers of a tensor. Of those that lie one behind the other, if the sums are
// `along` memory, `cut` tells; `summed` are the other axes summed over.
template <class T>
struct SumLaunch {
  const T* from;
  std::int64_t total;
  Runs kept;
  Runs summed;
  Cut cut;
  bool along;
  bool sizes;  // sums of absolute values, too, behind the others

  ONNXPLAIN_HOST_DEVICE std::int64_t columns() const { return sizes ? 2 * total : total; }
  // What the sums of pieces take, of all rounds but the last.
  std::size_t memory() const {
    const std::int64_t pieces = cut.pieces();
    return pieces <= 1 ? 0
                       : static_cast<std::size_t>((pieces + parts_of(pieces, kFan)) * columns());
  }
};

// A number, and perhaps its size.
template <bool kSizes>
struct SumOf {
  double value = 0.0;
  double size = 0.0;

  ONNXPLAIN_HOST_DEVICE void add(double term) {
    value += term;
    if constexpr (kSizes) {
      size += fabs(term);
    }
  }
};

// A piece of numbers that lie one behind the other; `lanes` has some threads, or all lanes.
template <bool kSizes, class T, class Lanes>
ONNXPLAIN_HOST_DEVICE inline SumOf<kSizes> along_piece(const SumLaunch<T>& launch,
                                                       const Lanes& lanes, std::int64_t piece,
                                                       std::int64_t which) {
  const Cut& cut = launch.cut;
  typename Lanes::template Sum<double> value(lanes);
  typename Lanes::template Sum<double> size(lanes);
  const T* base = launch.from + launch.kept.offset(which);
  const std::int64_t first = cut.cuts > 1 ? piece / cut.cuts : piece * cut.each;
  const std::int64_t begin = cut.cuts > 1 ? piece % cut.cuts * kPiece : 0;
  const std::int64_t count = smaller(kPiece, cut.inner - begin);
  const std::int64_t last = smaller(first + cut.each, cut.places);
  for (std::int64_t place = first; place < last; ++place) {
    const T* row = base + launch.summed.offset(place) + begin;
    value.add(count, [=](std::int64_t i) { return static_cast<double>(to_float(row[i])); });
    if constexpr (kSizes) {
      size.add(count, [=](std::int64_t i) { return static_cast<double>(fabsf(to_float(row[i]))); });
    }
  }
  return {value.total(), kSizes ? size.total() : 0.0};
}

// A piece of numbers apart from one another.
template <bool kSizes, class T>
ONNXPLAIN_HOST_DEVICE inline SumOf<kSizes> across_piece(const SumLaunch<T>& launch,
                                                        std::int64_t piece, std::int64_t which) {
  const Runs& summed = launch.summed;
  const T* base = launch.from + launch.kept.offset(which);
  const std::int64_t length = summed.length[summed.count - 1];
  const std::int64_t stride = summed.stride[summed.count - 1];
  const std::int64_t last = smaller((piece + 1) * launch.cut.each, launch.cut.places);
  SumOf<kSizes> sum;
  for (std::int64_t place = piece * launch.cut.each; place < last;) {
    const std::int64_t count = smaller(last - place, length - place % length);
    const T* row = base + summed.offset(place);
    ONNXPLAIN_UNROLL_SOME
    for (std::int64_t i = 0; i < count; ++i) {
      sum.add(static_cast<double>(to_float(row[i * stride])));
    }
    place += count;
  }
  return sum;
}

// Sum `group` of column `column`, of `count` rows of sums.
ONNXPLAIN_HOST_DEVICE inline double folded(const double* sums, std::int64_t count,
                                           std::int64_t columns, std::int64_t group,
                                           std::int64_t column) {
  const std::int64_t last = smaller((group + 1) * kFan, count);
  double sum = 0.0;
  ONNXPLAIN_UNROLL_SOME
  for (std::int64_t row = group * kFan; row < last; ++row) {
    sum += sums[row * columns + column];
  }
  return sum;
}

// Where the last sums go: to one of these.
template <class T>
struct SumTarget {
  double* sums;
  T* rounded;

  ONNXPLAIN_HOST_DEVICE void put(std::int64_t where, double sum) const {
    if (rounded != nullptr) {
      rounded[where] = from_float<T>(static_cast<float>(sum));
    } else {
      sums[where] = sum;
    }
  }
};

// Makes the sums in rounds: `pieces(launch, target)` and `fold(sums, count, columns, target)` start
// one each, and return a status, `fine` where all is well. There are sums, and they have numbers.
template <class T, class Status, class Pieces, class Fold>
Status in_rounds(const SumLaunch<T>& launch, double* memory, const SumTarget<T>& target,
                 Status fine, const Pieces& pieces, const Fold& fold) {
  std::int64_t count = launch.cut.pieces();
  const std::int64_t columns = launch.columns();
  if (count == 1) {
    return pieces(launch, target);
  }
  double* from = memory;
  double* to = memory + count * columns;
  Status status = pieces(launch, SumTarget<T>{from, nullptr});
  while (count > 1 && status == fine) {
    const std::int64_t next = parts_of(count, kFan);
    status = fold(from, count, columns, next == 1 ? target : SumTarget<T>{to, nullptr});
    std::swap(from, to);
    count = next;
  }
  return status;
}

}  // namespace onnxplain::threads

#include "kernels/give_all.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "kernels/give_all_steps.hpp"
#include "kernels/lanes.hpp"
#include "kernels/row_sums.hpp"
#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {
namespace {

constexpr std::int64_t kColumns = 512;

// Calls body(from, begin, count, to) for all numbers of a row, as float32.
template <class Body>
ONNXPLAIN_INLINE inline void widened(const float* from, std::int64_t count, float* to,
                                     const Body& body) {
  body(from, 0, count, to);
}
template <class Body>
ONNXPLAIN_INLINE inline void widened(const Half* from, std::int64_t count, Half* to,
                                     const Body& body) {
  float numbers[kWidened];
  for (std::int64_t begin = 0; begin < count; begin += kWidened) {
    const std::int64_t n = std::min(kWidened, count - begin);
    widen(from + begin, n, numbers);
    body(numbers, begin, n, numbers);
    narrow(numbers, n, to + begin);
  }
}

template <class T>
ONNXPLAIN_INLINE inline void give_shares(const Share* shares, const T* from, std::int64_t rows,
                                         std::int64_t stride, std::int64_t count, T* to) {
  float part[kColumns];
  float even[kColumns];
  for (std::int64_t k = 0; k < count; ++k) {
    part[k] = shares[k].part;
    even[k] = shares[k].even;
  }
  for (std::int64_t row = 0; row < rows; ++row, from += stride, to += stride) {
    widened(from, count, to,
            [&](const float* given, std::int64_t begin, std::int64_t n, float* made)
                ONNXPLAIN_INLINE {
                  for (std::int64_t k = 0; k < n; ++k) {
                    made[k] = Share{part[begin + k], even[begin + k]}.added_to(given[k]);
                  }
                });
  }
}

template <class T>
ONNXPLAIN_INLINE inline void give_row(const Share& share, const T* given, std::int64_t count,
                                      T* to) {
  widened(given, count, to,
          [&](const float* from, std::int64_t, std::int64_t n, float* made) ONNXPLAIN_INLINE {
            for (std::int64_t i = 0; i < n; ++i) {
              made[i] = share.added_to(from[i]);
            }
          });
}

// For each type of elements one function of each kind.
#define ONNXPLAIN_ROWS(T)                                                                     \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                                \
  void add(const T* const* rows, std::size_t number, std::int64_t count, double* sums) {      \
    add_rows(rows, number, count, sums);                                                      \
  }                                                                                           \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                                \
  void add_both(const T* const* rows, std::size_t number, std::int64_t count, double* sums) { \
    add_sizes(rows, number, count, sums, sums + count);                                       \
  }                                                                                           \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                                \
  void give_rows(const Share* shares, const T* from, std::int64_t rows, std::int64_t stride,  \
                 std::int64_t count, T* to) {                                                 \
    give_shares(shares, from, rows, stride, count, to);                                       \
  }

ONNXPLAIN_ROWS(float)
ONNXPLAIN_ROWS(Half)

#undef ONNXPLAIN_ROWS

// The sums of `columns` columns, by pieces of some rows each: add(rows, number) adds rows to them.
template <class T, class Add>
std::vector<double> sums_of_columns(const T* from, std::int64_t rows, std::int64_t stride,
                                    std::int64_t columns, const Add& add) {
  const Cut cut = cut_across(rows);
  SumTree tree(cut.pieces(), columns);
  tree.begin(columns);
  std::vector<double> piece(static_cast<std::size_t>(columns));
  for (std::int64_t begin = 0; begin < rows; begin += cut.each) {
    std::fill(piece.begin(), piece.end(), 0.0);
    const std::int64_t end = std::min(begin + cut.each, rows);
    const T* together[kRows];
    std::size_t number = 0;
    for (std::int64_t row = begin; row < end; ++row) {
      together[number++] = from + row * stride;
      if (number == kRows || row + 1 == end) {
        add(together, number, piece.data());
        number = 0;
      }
    }
    tree.add(piece.data());
  }
  const double* made = tree.total();
  return {made, made + columns};
}

template <class T>
void give_strip(const ShareRows& rows, const T* relevance, const T* given, std::int64_t begin,
                std::int64_t end, T* to) {
  const std::int64_t stride = rows.inner;
  for (std::int64_t start = begin; start < end; start += kColumns) {
    const std::int64_t count = std::min(kColumns, end - start);
    const T* got = given + start;
    const std::vector<double> arrived =
        sums_of_columns(relevance + start, rows.above, stride, count,
                        [=](const T* const* some, std::size_t number, double* sums) {
                          add(some, number, count, sums);
                        });
    const std::vector<double> sums =
        sums_of_columns(got, rows.below, stride, 2 * count,
                        [=](const T* const* some, std::size_t number, double* both) {
                          add_both(some, number, count, both);
                        });
    Share shares[kColumns];
    for (std::int64_t k = 0; k < count; ++k) {
      const auto at = static_cast<std::size_t>(k);
      shares[k] = Share::of({arrived[at], sums[at], sums[static_cast<std::size_t>(count) + at]},
                            rows.below);
    }
    give_rows(shares, got, rows.below, stride, count, to + start);
  }
}

}  // namespace

ShareSums together(const ShareSums* chunks, std::int64_t count) {
  SumTree tree(count, 3);
  tree.begin(3);
  for (std::int64_t k = 0; k < count; ++k) {
    const double sums[] = {chunks[k].relevance, chunks[k].given, chunks[k].size};
    tree.add(sums);
  }
  const double* made = tree.total();
  return {made[0], made[1], made[2]};
}

ONNXPLAIN_FOR_EACH_PROCESSOR
ShareSums share_sums(const float* relevance, std::int64_t above, const float* given,
                     std::int64_t below) {
  return sums_of_row(Lanes{}, relevance, above, given, below);
}

// Piece by piece, as the sums are made.
ShareSums share_sums(const Half* relevance, std::int64_t above, const Half* given,
                     std::int64_t below) {
  float piece[kPiece];
  ShareSums sums;
  for (std::int64_t begin = 0; begin < above; begin += kPiece) {
    const std::int64_t count = std::min(kPiece, above - begin);
    widen(relevance + begin, count, piece);
    sums.relevance += share_sums(piece, count, piece, 0).relevance;
  }
  for (std::int64_t begin = 0; begin < below; begin += kPiece) {
    const std::int64_t count = std::min(kPiece, below - begin);
    widen(given + begin, count, piece);
    const ShareSums got = share_sums(piece, 0, piece, count);
    sums.given += got.given;
    sums.size += got.size;
  }
  return sums;
}

#define ONNXPLAIN_SHARES(T)                                                                        \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                                     \
  void give(const ShareSums& sums, std::int64_t below, const T* given, std::int64_t count,         \
            T* to) {                                                                               \
    give_row(Share::of(sums, below), given, count, to);                                            \
  }                                                                                                \
  void give_columns(const ShareRows& rows, const T* relevance, const T* given, std::int64_t begin, \
                    std::int64_t end, T* to) {                                                     \
    give_strip(rows, relevance, given, begin, end, to);                                            \
  }

ONNXPLAIN_SHARES(float)
ONNXPLAIN_SHARES(Half)

#undef ONNXPLAIN_SHARES

}  // namespace onnxplain::cpu

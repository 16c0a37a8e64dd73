// The order in which long sums are made, the same on all devices, and by the shapes alone.
//
// The numbers of a sum are cut in pieces. Where they lie one behind the other a piece has up to
// kPiece of them, which are added in lanes (lanes.hpp); else it has kFan, one added after the
// other. The sums of pieces are then added kFan at a time, one after the other, and so are their
// sums, until one is left. All sums are of double precision, and each begins with 0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "onnxplain/tensor_view.hpp"

namespace onnxplain {

inline constexpr std::int64_t kPiece = 512;
inline constexpr std::int64_t kFan = 64;

ONNXPLAIN_HOST_DEVICE constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

// How many parts of `size` there are of a whole; the last may be smaller.
ONNXPLAIN_HOST_DEVICE constexpr std::int64_t parts_of(std::int64_t whole, std::int64_t size) {
  return whole / size + (whole % size != 0);
}

// How the numbers of a sum are cut. They lie in `places`, with `inner` in each, one behind the
// other (1: there are no such).
struct Cut {
  std::int64_t places;
  std::int64_t inner;
  std::int64_t each;  // places in a piece
  std::int64_t cuts;  // pieces in a place: 1, or `each` is 1

  // At least one, of no numbers if there are none.
  std::int64_t pieces() const {
    return std::max<std::int64_t>(cuts > 1 ? places * cuts : parts_of(places, each), 1);
  }
};

inline Cut cut_along(std::int64_t places, std::int64_t inner) {
  const std::int64_t most = kPiece / std::max<std::int64_t>(inner, 1);
  return {places, inner, std::clamp<std::int64_t>(most, 1, kFan),
          std::max<std::int64_t>(parts_of(inner, kPiece), 1)};
}

inline Cut cut_across(std::int64_t places) {
  return {places, 1, kFan, 1};
}

namespace cpu {

// Adds up the sums of pieces as they come, for several sums side by side.
class SumTree {
 public:
  SumTree(std::int64_t pieces, std::int64_t most) : most_(static_cast<std::size_t>(most)) {
    for (; pieces > kFan; pieces = parts_of(pieces, kFan)) {
      ++levels_;
    }
    sums_.resize(levels_ * most_);
    counts_.resize(levels_);
  }
  // Begins anew, with `width` sums.
  void begin(std::int64_t width) {
    width_ = static_cast<std::size_t>(width);
    std::fill(sums_.begin(), sums_.end(), 0.0);
    std::fill(counts_.begin(), counts_.end(), 0);
  }
  void add(const double* piece) {
    push(0, piece);
    for (std::size_t level = 0; level + 1 < levels_ && counts_[level] == kFan; ++level) {
      carry(level);
    }
  }
  // What all pieces make together.
  const double* total() {
    for (std::size_t level = 0; level + 1 < levels_; ++level) {
      if (counts_[level] > 0) {
        carry(level);
      }
    }
    return at(levels_ - 1);
  }

 private:
  double* at(std::size_t level) { return sums_.data() + level * most_; }
  void push(std::size_t level, const double* piece) {
    double* sums = at(level);
    for (std::size_t i = 0; i < width_; ++i) {
      sums[i] += piece[i];
    }
    ++counts_[level];
  }
  void carry(std::size_t level) {
    push(level + 1, at(level));
    std::fill_n(at(level), width_, 0.0);
    counts_[level] = 0;
  }

  std::size_t most_;
  std::size_t width_ = 0;
  std::size_t levels_ = 1;
  std::vector<double> sums_;
  std::vector<std::int64_t> counts_;
};

}  // namespace cpu
}  // namespace onnxplain

#include "kernels/sum_copies.hpp"

#include <algorithm>
#include <string>

#include "kernels/lanes.hpp"
#include "kernels/row_sums.hpp"
#include "kernels/sum_threads.hpp"
#include "onnxplain/check.hpp"
#include "onnxplain/fetching.hpp"
#include "onnxplain/processors.hpp"

namespace onnxplain {
namespace {

// Numbers of the result that are worked on at once.
constexpr std::int64_t kBlock = 2048;
// Sums of pieces between the one that is made and the one whose numbers are fetched.
constexpr std::int64_t kAhead = 2;

using cpu::add_rows;
using cpu::in_float32;
using cpu::kRows;
using cpu::Lanes;
using cpu::SumTree;
using cpu::wide;

// Steps through all places along some axes, in the order of memory.
class Odometer {
 public:
  void add(std::int64_t length, std::int64_t stride) {
    lengths_.push_back(length);
    strides_.push_back(stride);
    at_.push_back(0);
  }
  // Goes to a place by its number.
  void go(std::int64_t place) {
    offset_ = 0;
    for (std::size_t k = lengths_.size(); k-- > 0;) {
      at_[k] = place % lengths_[k];
      place /= lengths_[k];
      offset_ += at_[k] * strides_[k];
    }
  }
  // Goes on; false after the last place, and it is at the first again.
  bool next() {
    for (std::size_t k = lengths_.size(); k-- > 0;) {
      offset_ += strides_[k];
      if (++at_[k] < lengths_[k]) {
        return true;
      }
      offset_ -= at_[k] * strides_[k];
      at_[k] = 0;
    }
    return false;
  }
  std::int64_t offset() const { return offset_; }

 private:
  std::vector<std::int64_t> lengths_;
  std::vector<std::int64_t> strides_;
  std::vector<std::int64_t> at_;
  std::int64_t offset_ = 0;
};

// Adds up numbers that lie one behind the other, `count` at each of some places.
template <class T>
ONNXPLAIN_INLINE inline double add_along(const T* from, const std::int64_t* places,
                                         std::int64_t number, std::int64_t count) {
  Lanes::Sum<double> sum{Lanes{}};
  for (std::int64_t k = 0; k < number; ++k) {
    const T* row = from + places[k];
    in_float32(&row, 1, count,
               [&](const float* const* some, std::int64_t, std::int64_t n) ONNXPLAIN_INLINE {
                 const float* numbers = some[0];
                 sum.add(n, [=](std::int64_t i) ONNXPLAIN_INLINE { return wide(numbers[i]); });
               });
  }
  return sum.total();
}

#define ONNXPLAIN_SUMS(T)                                                                \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                           \
  void add(const T* const* rows, std::size_t number, std::int64_t count, double* sums) { \
    add_rows(rows, number, count, sums);                                                 \
  }                                                                                      \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                           \
  double along(const T* from, const std::int64_t* places, std::int64_t number,           \
               std::int64_t count) {                                                     \
    return add_along(from, places, number, count);                                       \
  }

ONNXPLAIN_SUMS(float)
ONNXPLAIN_SUMS(Half)

#undef ONNXPLAIN_SUMS

std::string listed(const std::vector<std::int64_t>& shape) {
  std::string text = "(";
  for (std::size_t k = 0; k < shape.size(); ++k) {
    text += (k == 0 ? "" : ", ") + std::to_string(shape[k]);
  }
  return text + ")";
}

}  // namespace

bool Copies::none() const {
  return std::find(summed.begin(), summed.end(), true) == summed.end();
}

std::int64_t Copies::along() const {
  return !summed.empty() && summed.back() ? lengths.back() : 1;
}

Copies copies(const std::vector<std::int64_t>& wide, const std::vector<std::int64_t>& own) {
  bool fits = own.size() <= wide.size();
  for (std::size_t k = 0; fits && k < own.size(); ++k) {
    fits = own[k] == wide[k] || own[k] == 1;
  }
  require(fits, "SumCopies: a tensor whose first axes are " + listed(own) +
                    " is not broadcast to the shape " + listed(wide));
  Copies found;
  std::int64_t stride = 1;
  for (std::size_t k = wide.size(); k-- > 0;) {
    const bool is_summed = k < own.size() && own[k] != wide[k];
    found.shape.insert(found.shape.begin(), is_summed ? 1 : wide[k]);
    found.total *= found.shape.front();
    if (wide[k] != 1) {
      if (!found.lengths.empty() && found.summed.front() == is_summed) {
        found.lengths.front() *= wide[k];
      } else {
        found.lengths.insert(found.lengths.begin(), wide[k]);
        found.strides.insert(found.strides.begin(), stride);
        found.summed.insert(found.summed.begin(), is_summed);
      }
    }
    stride *= wide[k];
  }
  return found;
}

namespace {

// The axes of a tensor, but for the last run where that is summed.
template <class T>
class Sums {
 public:
  Sums(const Copies& copies, const T* from)
      : from_(from),
        cut_(copies.cut()),
        is_along_(copies.summed.back()),
        width_(is_along_ ? 1 : copies.lengths.back()),
        tree_(cut_.pieces(), kBlock) {
    for (std::size_t k = 0; k + 1 < copies.lengths.size(); ++k) {
      (copies.summed[k] ? summed_ : kept_).add(copies.lengths[k], copies.strides[k]);
    }
  }

  // How many sums from one on are best made at once.
  std::int64_t together(std::int64_t at) const {
    return is_along_ ? kBlock : std::min(width_ - at % width_, kBlock);
  }

  void make(std::int64_t at, std::int64_t count, T* to) {
    for (std::int64_t k = 0; k < (is_along_ ? count : 1); ++k) {
      kept_.go((at + k) / width_);
      first_[k] = from_ + kept_.offset() + at % width_;
    }
    const std::int64_t pieces = cut_.pieces();
    tree_.begin(count);
    for (std::int64_t piece = 0; piece < pieces; ++piece) {
      std::fill_n(sums_, count, 0.0);
      is_along_ ? piece_along(piece, count) : piece_across(piece, count);
      if (pieces > 1) {
        tree_.add(sums_);
      }
    }
    const double* made = pieces > 1 ? tree_.total() : sums_;
    for (std::int64_t k = 0; k < count; ++k) {
      to[k] = from_float<T>(static_cast<float>(made[k]));
    }
  }

 private:
  // Pieces come in the order of the places that are summed, after the last of which come the first.
  void piece_along(std::int64_t piece, std::int64_t count) {
    const std::int64_t begin = cut_.cuts > 1 ? piece % cut_.cuts * kPiece : 0;
    const std::int64_t numbers = std::min(kPiece, cut_.inner - begin);
    const bool is_last = cut_.cuts == 1 || piece % cut_.cuts == cut_.cuts - 1;
    const std::int64_t number =
        cut_.cuts > 1 ? 1 : std::min(cut_.each, cut_.places - piece * cut_.each);
    std::int64_t places[kFan];
    for (std::int64_t k = 0; k < number; ++k) {
      places[k] = summed_.offset() + begin;
      if (is_last) {
        summed_.next();
      }
    }
    for (std::int64_t k = 0; k < count; ++k) {
      fetch(first_[std::min(k + kAhead, count - 1)] + places[0], numbers);
      sums_[k] = along(first_[k], places, number, numbers);
    }
  }

  void piece_across(std::int64_t piece, std::int64_t count) {
    const T* rows[kRows];
    std::size_t number = 0;
    const std::int64_t last = std::min((piece + 1) * cut_.each, cut_.places);
    for (std::int64_t place = piece * cut_.each; place < last; ++place) {
      rows[number++] = first_[0] + summed_.offset();
      if (number == kRows || place + 1 == last) {
        add(rows, number, count, sums_);
        number = 0;
      }
      summed_.next();
    }
  }

  const T* from_;
  Cut cut_;
  bool is_along_;
  std::int64_t width_;
  Odometer kept_;
  Odometer summed_;
  SumTree tree_;
  double sums_[kBlock];
  const T* first_[kBlock];  // of each sum, or of all
};

}  // namespace

Cut Copies::cut() const {
  const bool is_along = summed.back();
  std::int64_t places = 1;
  for (std::size_t k = 0; k < lengths.size(); ++k) {
    places *= summed[k] && !(is_along && k + 1 == lengths.size()) ? lengths[k] : 1;
  }
  return is_along ? cut_along(places, lengths.back()) : cut_across(places);
}

template <class T>
void cpu::sum_copies(const Copies& copies, const T* from, std::int64_t begin, std::int64_t end,
                     T* to) {
  if (copies.none()) {
    std::copy(from + begin, from + end, to + begin);
    return;
  }
  Sums<T> sums(copies, from);
  for (std::int64_t at = begin; at < end;) {
    const std::int64_t count = std::min(end - at, sums.together(at));
    sums.make(at, count, to + at);
    at += count;
  }
}

template void cpu::sum_copies(const Copies&, const float*, std::int64_t, std::int64_t, float*);
template void cpu::sum_copies(const Copies&, const Half*, std::int64_t, std::int64_t, Half*);

template <class T>
threads::SumLaunch<T> threads::sum_launch(const Copies& copies, const T* from) {
  SumLaunch<T> launch{};
  launch.from = from;
  launch.total = copies.total;
  launch.cut = copies.cut();
  launch.along = copies.summed.back();
  const std::size_t runs = copies.lengths.size() - (launch.along ? 1 : 0);
  for (std::size_t k = 0; k < runs; ++k) {
    Runs& to = copies.summed[k] ? launch.summed : launch.kept;
    require(to.count < kMostRuns, "SumCopies: there are too many axes for a GPU");
    to.length[to.count] = copies.lengths[k];
    to.stride[to.count++] = copies.strides[k];
  }
  return launch;
}

template threads::SumLaunch<float> threads::sum_launch(const Copies&, const float*);
template threads::SumLaunch<Half> threads::sum_launch(const Copies&, const Half*);

}  // namespace onnxplain

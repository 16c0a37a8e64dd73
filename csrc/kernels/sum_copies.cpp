#include "kernels/sum_copies.hpp"

#include <algorithm>
#include <string>

#include "onnxplain/check.hpp"
#include "onnxplain/processors.hpp"

namespace onnxplain {
namespace {

// Numbers of the result that are worked on at once.
constexpr std::int64_t kBlock = 2048;
constexpr std::size_t kRows = 4;
constexpr std::int64_t kLanes = 16;

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

template <class T>
ONNXPLAIN_INLINE inline double wide(T value) {
  return static_cast<double>(to_float(value));
}

// Adds rows, one after the other, to a block of sums. They are several, so that memory is read in
// several places at once.
template <class T>
ONNXPLAIN_INLINE inline void add_rows(const T* const* rows, std::size_t number, std::int64_t count,
                                      double* sums) {
  if (number == kRows) {
    const T *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3];
    for (std::int64_t i = 0; i < count; ++i) {
      sums[i] = sums[i] + wide(a[i]) + wide(b[i]) + wide(c[i]) + wide(d[i]);
    }
    return;
  }
  for (std::size_t k = 0; k < number; ++k) {
    const T* row = rows[k];
    for (std::int64_t i = 0; i < count; ++i) {
      sums[i] += wide(row[i]);
    }
  }
}

// Adds up what lies one behind the other, in lanes.
template <class T>
ONNXPLAIN_INLINE inline double add_along(const T* from, std::int64_t count) {
  double lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t k = 0; k < kLanes; ++k) {
      lanes[k] += wide(from[i + k]);
    }
  }
  double sum = 0.0;
  for (const double lane : lanes) {
    sum += lane;
  }
  for (; i < count; ++i) {
    sum += wide(from[i]);
  }
  return sum;
}

#define ONNXPLAIN_SUMS(T)                                                                \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                           \
  void add(const T* const* rows, std::size_t number, std::int64_t count, double* sums) { \
    add_rows(rows, number, count, sums);                                                 \
  }                                                                                      \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                           \
  double along(const T* from, std::int64_t count) {                                      \
    return add_along(from, count);                                                       \
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

template <class T>
void cpu::sum_copies(const Copies& copies, const T* from, std::int64_t begin, std::int64_t end,
                     T* to) {
  const std::size_t runs = copies.lengths.size();
  if (copies.none()) {
    std::copy(from + begin, from + end, to + begin);
    return;
  }
  const bool inner_summed = copies.summed.back();
  const std::int64_t inner = copies.lengths.back();
  Odometer kept;
  Odometer summed;
  bool empty = false;
  for (std::size_t k = 0; k < runs; ++k) {
    empty = empty || copies.lengths[k] == 0;
    if (k + 1 < runs) {
      (copies.summed[k] ? summed : kept).add(copies.lengths[k], copies.strides[k]);
    }
  }
  if (empty) {  // a sum of nothing
    std::fill(to + begin, to + end, T{});
    return;
  }
  double sums[kBlock];
  const T* first[kBlock];  // of each sum, or of all
  const std::int64_t width = inner_summed ? 1 : inner;
  for (std::int64_t at = begin; at < end;) {
    const std::int64_t room = inner_summed ? kBlock : width - at % width;
    const std::int64_t count = std::min({end - at, room, kBlock});
    for (std::int64_t k = 0; k < (inner_summed ? count : 1); ++k) {
      kept.go((at + k) / width);
      first[k] = from + kept.offset() + at % width;
    }
    std::fill_n(sums, count, 0.0);
    const T* rows[kRows];
    std::size_t number = 0;
    do {
      if (inner_summed) {
        for (std::int64_t k = 0; k < count; ++k) {
          sums[k] += along(first[k] + summed.offset(), inner);
        }
        continue;
      }
      rows[number++] = first[0] + summed.offset();
      if (number == kRows) {
        add(rows, number, count, sums);
        number = 0;
      }
    } while (summed.next());
    add(rows, number, count, sums);
    for (std::int64_t k = 0; k < count; ++k) {
      to[at + k] = from_float<T>(static_cast<float>(sums[k]));
    }
    at += count;
  }
}

template void cpu::sum_copies(const Copies&, const float*, std::int64_t, std::int64_t, float*);
template void cpu::sum_copies(const Copies&, const Half*, std::int64_t, std::int64_t, Half*);

}  // namespace onnxplain

#include "kernels/pool_rows.hpp"

#include <bit>
#include <cstddef>
#include <limits>
#include <type_traits>

#include "onnxplain/fetching.hpp"
#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {
namespace {

// Windows, and numbers, that are worked on at once.
constexpr std::int64_t kAtOnce = 16;
// Windows of more places, or farther apart, are better walked back side by side, and so are rows of
// few windows: a row takes some time however short it is.
constexpr std::int64_t kMostPlaces = 8;
constexpr std::int64_t kFewestWindows = 28;
// Numbers of rows that are worked on at once: what is written is read at other addresses, which
// takes long while it is on its way to the first cache.
constexpr std::int64_t kNumbers = 256;
// How far ahead of them memory is asked for.
constexpr std::int64_t kAhead = 1024;

constexpr std::int64_t padded(std::int64_t count) {
  return (count + kAtOnce - 1) / kAtOnce * kAtOnce;
}

// Numbers of a phase.
std::int64_t length_of(std::int64_t length, std::int64_t stride, std::int64_t phase) {
  return phase < length ? (length - phase - 1) / stride + 1 : 0;
}

template <int kStride>
ONNXPLAIN_INLINE inline void split_row(const SplitRows& split, const float* row, float* to) {
  const std::int64_t whole = split.length / split.stride;
  if constexpr (kStride == 1) {
    ONNXPLAIN_AS_A_VECTOR
    for (std::int64_t j = 0; j < whole; ++j) {
      to[j] = row[j];
    }
  } else if constexpr (kStride == 2) {
    float* odd = to + split.wide;
    ONNXPLAIN_AS_A_VECTOR
    for (std::int64_t j = 0; j < whole; ++j) {
      to[j] = row[2 * j];
      odd[j] = row[2 * j + 1];
    }
  } else {
    for (std::int64_t p = 0; p < split.stride; ++p) {
      ONNXPLAIN_AS_A_VECTOR
      for (std::int64_t j = 0; j < whole; ++j) {
        to[p * split.wide + j] = row[j * split.stride + p];
      }
    }
  }
  for (std::int64_t p = 0; whole * split.stride + p < split.length; ++p) {
    to[p * split.wide + whole] = row[whole * split.stride + p];
  }
}

template <int kStride>
ONNXPLAIN_INLINE inline void join_row(const SplitRows& split, float* row) {
  const std::int64_t whole = split.length / split.stride;
  const float* from = split.made;
  if constexpr (kStride == 1) {
    ONNXPLAIN_AS_A_VECTOR
    for (std::int64_t j = 0; j < whole; ++j) {
      row[j] = from[j];
    }
  } else if constexpr (kStride == 2) {
    const float* odd = from + split.tall;
    ONNXPLAIN_AS_A_VECTOR
    for (std::int64_t j = 0; j < whole; ++j) {
      row[2 * j] = from[j];
      row[2 * j + 1] = odd[j];
    }
  } else {
    for (std::int64_t p = 0; p < split.stride; ++p) {
      ONNXPLAIN_AS_A_VECTOR
      for (std::int64_t j = 0; j < whole; ++j) {
        row[j * split.stride + p] = from[p * split.tall + j];
      }
    }
  }
  for (std::int64_t p = 0; whole * split.stride + p < split.length; ++p) {
    row[whole * split.stride + p] = from[p * split.tall + whole];
  }
}

// Finds what goes to the windows, and gives it to the first maximum of each in this row: without a
// branch, for which value is the maximum cannot be foretold.
template <int kPlaces>
ONNXPLAIN_INLINE inline void give(const SplitRows& split, std::int64_t row,
                                  const WindowRow* windows, std::int64_t number) {
  const std::int64_t places =
      kPlaces > 0 ? kPlaces : static_cast<std::int64_t>(split.values.size());
  const float* const* values = split.values.data();
  float* const* given = split.given.data();
  for (std::int64_t o = 0; o < split.windows; o += kAtOnce) {
    float most[kAtOnce];
    float sum[kAtOnce];
    std::uint32_t open[kAtOnce];
    ONNXPLAIN_AS_A_VECTOR
    for (std::int64_t i = 0; i < kAtOnce; ++i) {
      most[i] = -std::numeric_limits<float>::infinity();
      sum[i] = 0.0f;
      open[i] = ~0u;
    }
    ONNXPLAIN_WRITTEN_OUT
    for (std::int64_t k = 0; k < places; ++k) {
      const float* value = values[k] + row * split.next + o;
      ONNXPLAIN_AS_A_VECTOR
      for (std::int64_t i = 0; i < kAtOnce; ++i) {
        most[i] = value[i] > most[i] ? value[i] : most[i];
      }
    }
    for (std::int64_t r = 0; r < number; ++r) {
      const float* y = windows[r].y + o;
      const float* g = windows[r].g + o;
      std::uint32_t* still = windows[r].open + o;
      ONNXPLAIN_AS_A_VECTOR
      for (std::int64_t i = 0; i < kAtOnce; ++i) {
        const std::uint32_t same = most[i] == y[i] ? ~0u : 0u;
        const std::uint32_t hit = same & still[i];
        sum[i] += std::bit_cast<float>(std::bit_cast<std::uint32_t>(g[i]) & hit);
        still[i] &= ~hit;
      }
    }
    ONNXPLAIN_WRITTEN_OUT
    for (std::int64_t k = 0; k < places; ++k) {
      const float* value = values[k] + row * split.next + o;
      float* to = given[k] + row * split.next_given + o;
      ONNXPLAIN_AS_A_VECTOR
      for (std::int64_t i = 0; i < kAtOnce; ++i) {
        const std::uint32_t same = value[i] == most[i] ? ~0u : 0u;
        const std::uint32_t hit = same & open[i];
        to[i] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(sum[i]) & hit);
        open[i] &= ~hit;
      }
    }
  }
}

// Adds up what arrives at the numbers of each phase, from the last window to the first.
ONNXPLAIN_INLINE inline void add_up(const SplitRows& split, std::int64_t row) {
  const float* const* from = split.arrives.data();
  for (std::int64_t p = 0; p < split.stride; ++p) {
    float* to = split.made + p * split.tall;
    const std::int64_t count = split.count[static_cast<std::size_t>(p)];
    if (count == 0) {
      std::fill_n(to, split.tall, 0.0f);
    }
    for (std::int64_t k = 0; k < count; ++k) {
      const float* some = from[k] + row * split.next_given;
      for (std::int64_t j = 0; j < split.tall; j += kAtOnce) {
        ONNXPLAIN_AS_A_VECTOR
        for (std::int64_t i = 0; i < kAtOnce; ++i) {
          to[j + i] = (k == 0 ? 0.0f : to[j + i]) + some[j + i];
        }
      }
    }
    from += count;
  }
}

// For windows of so many places and a stride; 0: any.
#define ONNXPLAIN_WINDOWS(places, stride)                                                      \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                                 \
  void work##places##stride(const SplitRows& split, const float* from, std::int64_t rows,      \
                            const WindowRow* windows, const std::int64_t* number, float* to) { \
    for (std::int64_t r = 0; r < rows; ++r) {                                                  \
      split_row<stride>(split, from + r * split.length, split.phases + r * split.next);        \
    }                                                                                          \
    for (std::int64_t r = 0; r < rows; ++r, windows += *number++) {                            \
      give<places>(split, r, windows, *number);                                                \
    }                                                                                          \
    for (std::int64_t r = 0; r < rows; ++r) {                                                  \
      add_up(split, r);                                                                        \
      join_row<stride>(split, to + r * split.length);                                          \
    }                                                                                          \
  }

ONNXPLAIN_WINDOWS(2, 2)
ONNXPLAIN_WINDOWS(3, 2)
ONNXPLAIN_WINDOWS(0, 2)
ONNXPLAIN_WINDOWS(0, 1)
ONNXPLAIN_WINDOWS(0, 0)

#undef ONNXPLAIN_WINDOWS

}  // namespace

bool PoolRows::suit(const WindowAxis& across, const Planes& in, const Planes& out) {
  return in.block == 1 && across.kernel <= kMostPlaces && across.stride <= kMostPlaces &&
         out.width >= kFewestWindows;
}

PoolRows::PoolRows(const WindowAxis& down, const WindowAxis& across, const Planes& in,
                   const Planes& out)
    : down_(down),
      height_(in.height),
      width_(in.width),
      rows_(out.height),
      windows_(out.width),
      padded_(padded(out.width)),
      together_(std::clamp<std::int64_t>(kNumbers / std::max<std::int64_t>(in.width, 1), 1, 8)),
      ring_(most_open(down, out.height, together_)) {
  const std::int64_t stride = across.stride;
  struct Place {
    std::int64_t phase;
    std::int64_t shift;  // the first window's number in its phase
  };
  std::vector<Place> places;
  std::int64_t low = 0;
  std::int64_t high = 0;
  for (std::int64_t k = 0; k < across.kernel; ++k) {
    const std::int64_t at = k * across.dilation - across.begin;
    const std::int64_t shift = (at >= 0 ? at : at - stride + 1) / stride;
    const std::int64_t phase = at - shift * stride;
    if (shift > -windows_ && shift < length_of(width_, stride, phase)) {  // else no window has it
      places.push_back({phase, shift});
      low = std::min(low, shift);
      high = std::max(high, shift);
    }
  }
  const std::int64_t tall = padded(length_of(width_, stride, 0));
  const std::int64_t wide = std::max(tall, padded_ + high) - low;
  const std::int64_t next = stride * wide;
  const std::int64_t given = std::max(padded_, tall - low) + high;
  phases_.assign(static_cast<std::size_t>(together_ * next),
                 std::numeric_limits<float>::quiet_NaN());
  made_.resize(static_cast<std::size_t>(stride * tall));
  given_.resize(static_cast<std::size_t>(together_ * given) * places.size());
  split_ = {width_,
            stride,
            windows_,
            wide,
            tall,
            next,
            given * static_cast<std::int64_t>(places.size()),
            phases_.data() - low,
            made_.data(),
            {},
            {},
            {},
            {}};
  for (std::size_t k = 0; k < places.size(); ++k) {
    split_.values.push_back(split_.phases + places[k].phase * wide + places[k].shift);
    split_.given.push_back(given_.data() + static_cast<std::int64_t>(k) * given + high);
  }
  for (std::int64_t p = 0; p < stride; ++p) {
    std::int64_t count = 0;
    for (std::size_t k = 0; k < places.size(); ++k) {
      if (places[k].phase == p) {
        split_.arrives.push_back(split_.given[k] - places[k].shift);
        ++count;
      }
    }
    split_.count.push_back(count);
  }
  const auto open = static_cast<std::size_t>(ring_ * padded_);
  y_.resize(open);
  g_.resize(open);
  open_.resize(open);
  lines_.resize(static_cast<std::size_t>(together_ * width_));
  for (std::int64_t k = 0; k < ring_; ++k) {
    const std::int64_t slot = k * padded_;
    ring_rows_.push_back({y_.data() + slot, g_.data() + slot, open_.data() + slot});
  }
  reached_.resize(static_cast<std::size_t>(together_ * ring_));
  number_.resize(static_cast<std::size_t>(together_));
  const std::size_t kinds = places.size();
  work_ = stride == 1   ? work01
          : stride != 2 ? work00
          : kinds == 2  ? work22
          : kinds == 3  ? work32
                        : work02;
}

template <class T>
void PoolRows::open(const Reached& reached, const T* y, const T* g) {
  for (opened_ = std::max(opened_, reached.first); opened_ <= reached.last; ++opened_) {
    newest_ = newest_ + 1 == ring_ ? 0 : newest_ + 1;
    const std::int64_t slot = newest_ * padded_;
    widen(y + opened_ * windows_, windows_, y_.data() + slot);
    widen(g + opened_ * windows_, windows_, g_.data() + slot);
    std::fill_n(open_.data() + slot, padded_, ~0u);
  }
}

std::int64_t PoolRows::find(const Reached& reached, std::int64_t row, WindowRow* found) const {
  std::int64_t number = 0;
  for (std::int64_t o = reached.last; o >= reached.first; --o) {
    if (down_.dilation == 1 || (row + down_.begin - o * down_.stride) % down_.dilation == 0) {
      const std::int64_t slot = newest_ - (opened_ - 1 - o);
      found[number++] = ring_rows_[static_cast<std::size_t>(slot < 0 ? slot + ring_ : slot)];
    }
  }
  return number;
}

template <class T>
void PoolRows::walk(const T* x, const T* y, const T* g, T* dx) {
  opened_ = 0;
  for (std::int64_t h = 0; h < height_; h += together_) {
    const std::int64_t rows = std::min(together_, height_ - h);
    const std::int64_t numbers = rows * width_;
    WindowRow* found = reached_.data();
    for (std::int64_t r = 0; r < rows; ++r) {
      const Reached reached(down_, rows_, h + r);
      open(reached, y, g);
      const std::int64_t number = find(reached, h + r, found);
      number_[static_cast<std::size_t>(r)] = number;
      found += number;
    }
    fetch(x + kAhead, numbers);
    fetch_to_write(dx + kAhead, numbers);
    if constexpr (std::is_same_v<T, float>) {
      work_(split_, x, rows, reached_.data(), number_.data(), dx);
    } else {
      widen(x, numbers, lines_.data());
      work_(split_, lines_.data(), rows, reached_.data(), number_.data(), lines_.data());
      narrow(lines_.data(), numbers, dx);
    }
    x += numbers;
    dx += numbers;
  }
}

template void PoolRows::walk(const float*, const float*, const float*, float*);
template void PoolRows::walk(const Half*, const Half*, const Half*, Half*);

}  // namespace onnxplain::cpu

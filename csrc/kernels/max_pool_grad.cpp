#include "kernels/max_pool_grad.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <type_traits>

#include "kernels/beside.hpp"
#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {
namespace {

// Adds g where a value is the maximum, in a window that is open (all bits of it are set), which is
// then closed. Without a branch: which value is the maximum cannot be foretold.
template <int kLanes>
ONNXPLAIN_INLINE inline void add_where(const float* value, const float* most, const float* g,
                                       std::int64_t count, std::uint32_t* open, float* to) {
  const std::int64_t number = kLanes > 0 ? kLanes : count;
  ONNXPLAIN_AS_A_VECTOR
  for (std::int64_t i = 0; i < number; ++i) {
    const std::uint32_t same = value[i] == most[i] ? ~0u : 0u;
    const std::uint32_t hit = same & open[i];
    to[i] += std::bit_cast<float>(std::bit_cast<std::uint32_t>(g[i]) & hit);
    open[i] &= ~hit;
  }
}

// The maxima of windows within a row of what lies in lanes.
template <int kLanes>
ONNXPLAIN_INLINE inline void maxima_of(const WindowAxis& axis, std::int64_t length,
                                       std::int64_t windows, const float* row, float* maxima) {
  for (std::int64_t o = 0; o < windows; ++o) {
    float most[kLanes];
    ONNXPLAIN_AS_A_VECTOR
    for (int l = 0; l < kLanes; ++l) {
      most[l] = -std::numeric_limits<float>::infinity();
    }
    for (std::int64_t k = 0; k < axis.kernel; ++k) {
      const std::int64_t at = o * axis.stride - axis.begin + k * axis.dilation;
      if (at >= 0 && at < length) {
        const float* value = row + at * kLanes;
        ONNXPLAIN_AS_A_VECTOR
        for (int l = 0; l < kLanes; ++l) {
          most[l] = value[l] > most[l] ? value[l] : most[l];
        }
      }
    }
    ONNXPLAIN_AS_A_VECTOR
    for (int l = 0; l < kLanes; ++l) {
      maxima[o * kLanes + l] = most[l];
    }
  }
}

// Gives what arrives at the windows of a row to the first maximum of each in it.
template <int kLanes>
ONNXPLAIN_INLINE inline void give_row(const WindowAxis& axis, std::int64_t length,
                                      std::int64_t windows, const float* row, const float* maxima,
                                      const float* arrives, float* to) {
  std::fill_n(to, length * kLanes, 0.0f);
  for (std::int64_t o = windows; o-- > 0;) {
    std::uint32_t open[kLanes];
    std::fill_n(open, kLanes, ~0u);
    const float* most = maxima + o * kLanes;
    const float* g = arrives + o * kLanes;
    for (std::int64_t k = 0; k < axis.kernel; ++k) {
      const std::int64_t at = o * axis.stride - axis.begin + k * axis.dilation;
      if (at >= 0 && at < length) {
        add_where<kLanes>(row + at * kLanes, most, g, kLanes, open, to + at * kLanes);
      }
    }
  }
}

// A row of windows that do not touch one another, over some rows of what was pooled: each gives to
// its own first maximum alone.
template <int kLanes>
ONNXPLAIN_INLINE inline void give_apart(const WindowAxis& axis, std::int64_t length,
                                        std::int64_t windows, std::int64_t rows, const float* x,
                                        const float* y, const float* g, float* to) {
  std::fill_n(to, rows * length * kLanes, 0.0f);
  for (std::int64_t o = 0; o < windows; ++o, y += kLanes, g += kLanes) {
    const std::int64_t left = o * axis.stride - axis.begin;
    const std::int64_t right = std::min(left + axis.kernel, length);
    std::uint32_t open[kLanes];
    std::fill_n(open, kLanes, ~0u);
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = std::max<std::int64_t>(left, 0); j < right; ++j) {
        const std::int64_t at = (i * length + j) * kLanes;
        add_where<kLanes>(x + at, y, g, kLanes, open, to + at);
      }
    }
  }
}

bool are_apart(const WindowAxis& axis) {
  return axis.dilation == 1 && axis.stride >= axis.kernel;
}

#define ONNXPLAIN_ROW(lanes)                                                                 \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                               \
  void maxima##lanes(const WindowAxis& axis, std::int64_t length, std::int64_t windows,      \
                     const float* row, float* maxima) {                                      \
    maxima_of<lanes>(axis, length, windows, row, maxima);                                    \
  }                                                                                          \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                               \
  void give##lanes(const WindowAxis& axis, std::int64_t length, std::int64_t windows,        \
                   const float* row, const float* maxima, const float* arrives, float* to) { \
    give_row<lanes>(axis, length, windows, row, maxima, arrives, to);                        \
  }                                                                                          \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                               \
  void apart##lanes(const WindowAxis& axis, std::int64_t length, std::int64_t windows,       \
                    std::int64_t rows, const float* x, const float* y, const float* g,       \
                    float* to) {                                                             \
    give_apart<lanes>(axis, length, windows, rows, x, y, g, to);                             \
  }                                                                                          \
  constexpr InLanes kIn##lanes{lanes, maxima##lanes, give##lanes, apart##lanes};

// What is done with a row, for some number of lanes.
struct InLanes {
  std::int64_t lanes;
  void (*maxima)(const WindowAxis&, std::int64_t, std::int64_t, const float*, float*);
  void (*give)(const WindowAxis&, std::int64_t, std::int64_t, const float*, const float*,
               const float*, float*);
  void (*apart)(const WindowAxis&, std::int64_t, std::int64_t, std::int64_t, const float*,
                const float*, const float*, float*);
};

ONNXPLAIN_ROW(1)
ONNXPLAIN_ROW(4)
ONNXPLAIN_ROW(8)
ONNXPLAIN_ROW(16)

#undef ONNXPLAIN_ROW

const InLanes& in_lanes(std::int64_t lanes) {
  switch (lanes) {
    case 16:
      return kIn16;
    case 8:
      return kIn8;
    case 4:
      return kIn4;
    default:
      require(lanes == 1, "MaxPoolGrad: blocks have 1, 4, 8 or 16 channels");
      return kIn1;
  }
}

// Adds g to the sums of a row's windows whose maximum is that of the whole windows, y, unless a row
// before had it.
ONNXPLAIN_FOR_EACH_PROCESSOR
void add_hits(const float* maxima, const float* y, const float* g, std::int64_t count,
              std::uint32_t* open, float* sums) {
  add_where<0>(maxima, y, g, count, open, sums);
}

// Rows of some planes: side by side in the scratch, or as they lie.
template <class T>
class Rows {
 public:
  Rows(const Planes& in, const Planes& out, const T* x, const T* y, const T* g, T* dx,
       std::int64_t count, PoolScratch& scratch)
      : lanes(in.block * scratch.together),
        wide(out.width * lanes),
        in_(in),
        out_(out),
        x_(x),
        y_(y),
        g_(g),
        dx_(dx),
        count_(count),
        scratch_(scratch) {}

  // Rows [h, h + number) of what was pooled.
  const float* values(std::int64_t h, std::int64_t number) const {
    if constexpr (std::is_same_v<T, float>) {
      if (!scratch_.copied) {
        return x_ + h * row();
      }
    }
    for (std::int64_t i = 0; i < number; ++i) {
      beside(x_ + (h + i) * row(), in_.size(), row(), count_, lanes,
             scratch_.x.data() + i * in_.width * lanes);
    }
    return scratch_.x.data();
  }
  // Where row h of the result is made, and those behind it.
  float* made(std::int64_t h) const {
    if constexpr (std::is_same_v<T, float>) {
      if (!scratch_.copied) {
        return dx_ + h * row();
      }
    }
    return scratch_.dx.data();
  }
  void put(std::int64_t h, std::int64_t number) const {
    for (std::int64_t i = 0; scratch_.copied && i < number; ++i) {
      behind(scratch_.dx.data() + i * in_.width * lanes, in_.size(), row(), count_, lanes,
             dx_ + (h + i) * row());
    }
  }
  void put_zeros(std::int64_t begin, std::int64_t end) const {
    for (std::int64_t l = 0; begin < end && l < count_; ++l) {
      std::fill(dx_ + l * in_.size() + begin * row(), dx_ + l * in_.size() + end * row(), T{});
    }
  }
  // Has a row of windows copied, if it must be.
  void open(std::int64_t which) const {
    if (scratch_.copied) {
      const std::int64_t from = which * out_.width * out_.block;
      const std::int64_t to = slot(which);
      beside(y_ + from, out_.size(), out_.width * out_.block, count_, lanes,
             scratch_.y.data() + to);
      beside(g_ + from, out_.size(), out_.width * out_.block, count_, lanes,
             scratch_.g.data() + to);
    }
  }
  const float* maxima(std::int64_t which) const { return windows(y_, scratch_.y, which); }
  const float* arrives(std::int64_t which) const { return windows(g_, scratch_.g, which); }
  std::int64_t slot(std::int64_t which) const { return which % scratch_.ring * wide; }

  const std::int64_t lanes;
  const std::int64_t wide;  // numbers in a row of windows

 private:
  std::int64_t row() const { return in_.width * in_.block; }
  const float* windows(const T* from, const std::vector<float>& copy, std::int64_t which) const {
    if constexpr (std::is_same_v<T, float>) {
      if (!scratch_.copied) {
        return from + which * wide;
      }
    }
    return copy.data() + slot(which);
  }

  const Planes& in_;
  const Planes& out_;
  const T* x_;
  const T* y_;
  const T* g_;
  T* dx_;
  std::int64_t count_;
  PoolScratch& scratch_;
};

// Windows that do not touch one another, row by row of them.
template <class T>
void apart(const WindowAxis& down, const WindowAxis& across, const Planes& in, const Planes& out,
           const Rows<T>& rows) {
  const InLanes& work = in_lanes(rows.lanes);
  std::int64_t done = 0;
  for (std::int64_t which = 0; which < out.height; ++which) {
    const std::int64_t start = which * down.stride - down.begin;
    const std::int64_t top = std::max<std::int64_t>(start, 0);
    const std::int64_t number = std::min(start + down.kernel, in.height) - top;
    if (number > 0) {
      rows.put_zeros(done, top);
      rows.open(which);
      work.apart(across, in.width, out.width, number, rows.values(top, number), rows.maxima(which),
                 rows.arrives(which), rows.made(top));
      rows.put(top, number);
      done = top + number;
    }
  }
  rows.put_zeros(done, in.height);
}

// Any windows, row by row of what was pooled, with those that are open there.
template <class T>
void overlapping(const WindowAxis& down, const WindowAxis& across, const Planes& in,
                 const Planes& out, const Rows<T>& rows, PoolScratch& scratch) {
  const InLanes& work = in_lanes(rows.lanes);
  std::int64_t opened = 0;
  for (std::int64_t h = 0; h < in.height; ++h) {
    const Reached reached(down, out.height, h);
    for (opened = std::max(opened, reached.first); opened <= reached.last; ++opened) {
      std::fill_n(scratch.open.data() + rows.slot(opened), rows.wide, ~0u);
      rows.open(opened);
    }
    const float* values = rows.values(h, 1);
    work.maxima(across, in.width, out.width, values, scratch.maxima.data());
    std::fill(scratch.sums.begin(), scratch.sums.end(), 0.0f);
    for (std::int64_t o = reached.last; o >= reached.first; --o) {
      if ((h + down.begin - o * down.stride) % down.dilation == 0) {
        add_hits(scratch.maxima.data(), rows.maxima(o), rows.arrives(o), rows.wide,
                 scratch.open.data() + rows.slot(o), scratch.sums.data());
      }
    }
    work.give(across, in.width, out.width, values, scratch.maxima.data(), scratch.sums.data(),
              rows.made(h));
    rows.put(h, 1);
  }
}

}  // namespace

std::int64_t planes_together(const WindowAxis& across, const Planes& in, const Planes& out) {
  if (PoolRows::suit(across, in, out)) {
    return 1;
  }
  return in.count > 8 ? 16 : in.count > 4 ? 8 : in.count > 1 ? 4 : 1;
}

PoolScratch::PoolScratch(const WindowAxis& down, const WindowAxis& across, const Planes& in,
                         const Planes& out, std::int64_t side_by_side, bool is_copied)
    : together(side_by_side), copied(is_copied || together > 1), ring(most_open(down, out.height)) {
  if (together == 1 && PoolRows::suit(across, in, out)) {
    rows.emplace(down, across, in, out);
    return;
  }
  const std::int64_t high = are_apart(down) ? std::min(down.kernel, in.height) : 1;
  const auto row = static_cast<std::size_t>(high * in.width * in.block * together);
  const auto windows = static_cast<std::size_t>(out.width * out.block * together);
  maxima.resize(windows);
  sums.resize(windows);
  open.resize(windows * static_cast<std::size_t>(ring));
  if (copied) {
    x.resize(row);
    dx.resize(row);
    y.resize(open.size());
    g.resize(open.size());
  }
}

template <class T>
void max_pool_grad(const WindowAxis& down, const WindowAxis& across, const Planes& in,
                   const Planes& out, const T* x, const T* y, const T* g, T* dx, std::int64_t count,
                   PoolScratch& scratch) {
  if (scratch.rows) {
    return scratch.rows->walk(x, y, g, dx);
  }
  const Rows<T> rows(in, out, x, y, g, dx, count, scratch);
  if (are_apart(down) && are_apart(across)) {
    apart(down, across, in, out, rows);
  } else {
    overlapping(down, across, in, out, rows, scratch);
  }
}

template void max_pool_grad(const WindowAxis&, const WindowAxis&, const Planes&, const Planes&,
                            const float*, const float*, const float*, float*, std::int64_t,
                            PoolScratch&);
template void max_pool_grad(const WindowAxis&, const WindowAxis&, const Planes&, const Planes&,
                            const Half*, const Half*, const Half*, Half*, std::int64_t,
                            PoolScratch&);

}  // namespace onnxplain::cpu

#include "kernels/max_pool_grad.hpp"

#include <algorithm>
#include <limits>

#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {
namespace {

// Adds g's lanes to those of `to` whose value is the window's maximum, unless it was found before.
template <int kLanes>
ONNXPLAIN_INLINE inline void give(const float* value, const float* maximum, const float* g,
                                  std::int32_t* open, float* to) {
  for (int l = 0; l < kLanes; ++l) {
    const std::int32_t hit = value[l] == maximum[l] ? open[l] : 0;
    to[l] += hit != 0 ? g[l] : 0.0f;
    open[l] -= hit;
  }
}

// The windows of one axis, of what lies in lanes: `from` and `to` have `length` places, and
// `maxima` and `g` one for each of `windows`. Places are `step` numbers apart, windows `wide`.
template <int kLanes>
ONNXPLAIN_INLINE inline void along(const WindowAxis& axis, std::int64_t length,
                                   std::int64_t windows, const float* from, const float* maxima,
                                   const float* g, float* to, std::int64_t step,
                                   std::int64_t wide) {
  for (std::int64_t o = windows; o-- > 0;) {
    std::int32_t open[kLanes];
    std::fill_n(open, kLanes, 1);
    for (std::int64_t k = 0; k < axis.kernel; ++k) {
      const std::int64_t at = o * axis.stride - axis.begin + k * axis.dilation;
      if (at >= 0 && at < length) {
        give<kLanes>(from + at * step, maxima + o * wide, g + o * wide, open, to + at * step);
      }
    }
  }
}

// Windows that do not touch one another: each gives to its own first maximum alone.
template <int kLanes>
ONNXPLAIN_INLINE inline void apart(const WindowAxis& down, const WindowAxis& across,
                                   const Planes& in, const Planes& out, const float* x,
                                   const float* y, const float* g, float* dx) {
  std::fill_n(dx, in.height * in.width * kLanes, 0.0f);
  for (std::int64_t h = 0; h < out.height; ++h) {
    const std::int64_t top = h * down.stride - down.begin;
    const std::int64_t bottom = std::min(top + down.kernel, in.height);
    for (std::int64_t w = 0; w < out.width; ++w, y += kLanes, g += kLanes) {
      const std::int64_t left = w * across.stride - across.begin;
      const std::int64_t right = std::min(left + across.kernel, in.width);
      std::int32_t open[kLanes];
      std::fill_n(open, kLanes, 1);
      for (std::int64_t i = std::max<std::int64_t>(top, 0); i < bottom; ++i) {
        for (std::int64_t j = std::max<std::int64_t>(left, 0); j < right; ++j) {
          const std::int64_t at = (i * in.width + j) * kLanes;
          give<kLanes>(x + at, y, g, open, dx + at);
        }
      }
    }
  }
}

bool are_apart(const WindowAxis& axis) {
  return axis.dilation == 1 && axis.stride >= axis.kernel;
}

template <int kLanes>
ONNXPLAIN_INLINE inline void plane(const WindowAxis& down, const WindowAxis& across,
                                   const Planes& in, const Planes& out, const float* x,
                                   const float* y, const float* g, float* dx,
                                   PoolScratch& scratch) {
  if (are_apart(down) && are_apart(across)) {
    return apart<kLanes>(down, across, in, out, x, y, g, dx);
  }
  const std::int64_t row = in.width * kLanes;
  const std::int64_t pooled = out.width * kLanes;
  scratch.maxima.resize(static_cast<std::size_t>(in.height * pooled));
  scratch.sums.resize(scratch.maxima.size());
  float* maxima = scratch.maxima.data();
  float* sums = scratch.sums.data();
  for (std::int64_t h = 0; h < in.height; ++h) {
    for (std::int64_t o = 0; o < out.width; ++o) {
      float* most = maxima + h * pooled + o * kLanes;
      std::fill_n(most, kLanes, -std::numeric_limits<float>::infinity());
      for (std::int64_t k = 0; k < across.kernel; ++k) {
        const std::int64_t at = o * across.stride - across.begin + k * across.dilation;
        if (at >= 0 && at < in.width) {
          const float* value = x + h * row + at * kLanes;
          for (int l = 0; l < kLanes; ++l) {
            most[l] = value[l] > most[l] ? value[l] : most[l];
          }
        }
      }
    }
  }
  std::fill_n(sums, in.height * pooled, 0.0f);
  for (std::int64_t o = 0; o < out.width; ++o) {
    const std::int64_t at = o * kLanes;
    along<kLanes>(down, in.height, out.height, maxima + at, y + at, g + at, sums + at, pooled,
                  pooled);
  }
  std::fill_n(dx, in.height * row, 0.0f);
  for (std::int64_t h = 0; h < in.height; ++h) {
    along<kLanes>(across, in.width, out.width, x + h * row, maxima + h * pooled, sums + h * pooled,
                  dx + h * row, kLanes, kLanes);
  }
}

#define ONNXPLAIN_PLANE(lanes)                                                                    \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                                    \
  void plane##lanes(const WindowAxis& down, const WindowAxis& across, const Planes& in,           \
                    const Planes& out, const float* x, const float* y, const float* g, float* dx, \
                    PoolScratch& scratch) {                                                       \
    plane<lanes>(down, across, in, out, x, y, g, dx, scratch);                                    \
  }

ONNXPLAIN_PLANE(1)
ONNXPLAIN_PLANE(4)
ONNXPLAIN_PLANE(8)
ONNXPLAIN_PLANE(16)

#undef ONNXPLAIN_PLANE

void in_lanes(std::int64_t lanes, const WindowAxis& down, const WindowAxis& across,
              const Planes& in, const Planes& out, const float* x, const float* y, const float* g,
              float* dx, PoolScratch& scratch) {
  switch (lanes) {
    case 16:
      return plane16(down, across, in, out, x, y, g, dx, scratch);
    case 8:
      return plane8(down, across, in, out, x, y, g, dx, scratch);
    case 4:
      return plane4(down, across, in, out, x, y, g, dx, scratch);
    default:
      require(lanes == 1, "MaxPoolGrad: blocks have 1, 4, 8 or 16 channels");
      return plane1(down, across, in, out, x, y, g, dx, scratch);
  }
}

// Lays planes of `size` numbers side by side, `lanes` numbers for each place; the last ones may
// be missing.
template <class T>
void beside(const T* from, std::int64_t size, std::int64_t count, std::int64_t lanes, float* to) {
  for (std::int64_t l = 0; l < count; ++l) {
    for (std::int64_t k = 0; k < size; ++k) {
      to[k * lanes + l] = to_float(from[l * size + k]);
    }
  }
}

template <class T>
void behind(const float* from, std::int64_t size, std::int64_t count, std::int64_t lanes, T* to) {
  for (std::int64_t l = 0; l < count; ++l) {
    for (std::int64_t k = 0; k < size; ++k) {
      to[l * size + k] = from_float<T>(from[k * lanes + l]);
    }
  }
}

// Works on copies of planes, which lie side by side.
template <class T>
void copied(const WindowAxis& down, const WindowAxis& across, const Planes& in, const Planes& out,
            const T* x, const T* y, const T* g, T* dx, std::int64_t count, PoolScratch& scratch) {
  beside(x, in.size(), count, scratch.together, scratch.x.data());
  beside(y, out.size(), count, scratch.together, scratch.y.data());
  beside(g, out.size(), count, scratch.together, scratch.g.data());
  in_lanes(scratch.together, down, across, in, out, scratch.x.data(), scratch.y.data(),
           scratch.g.data(), scratch.dx.data(), scratch);
  behind(scratch.dx.data(), in.size(), count, scratch.together, dx);
}

}  // namespace

std::int64_t planes_together(const Planes& in) {
  constexpr std::int64_t kMost = std::int64_t{1} << 20;  // numbers, of which copies are made
  return in.size() * 16 <= kMost ? 16 : in.size() * 4 <= kMost ? 4 : 1;
}

PoolScratch::PoolScratch(const Planes& in, const Planes& out, std::int64_t side_by_side,
                         bool copied)
    : together(side_by_side) {
  if (copied || together > 1) {
    x.resize(static_cast<std::size_t>(in.size() * together));
    dx.resize(x.size());
    y.resize(static_cast<std::size_t>(out.size() * together));
    g.resize(y.size());
  }
}

void max_pool_grad(const WindowAxis& down, const WindowAxis& across, const Planes& in,
                   const Planes& out, const float* x, const float* y, const float* g, float* dx,
                   std::int64_t count, PoolScratch& scratch) {
  if (scratch.together == 1) {
    return in_lanes(in.block, down, across, in, out, x, y, g, dx, scratch);
  }
  copied(down, across, in, out, x, y, g, dx, count, scratch);
}

void max_pool_grad(const WindowAxis& down, const WindowAxis& across, const Planes& in,
                   const Planes& out, const Half* x, const Half* y, const Half* g, Half* dx,
                   std::int64_t count, PoolScratch& scratch) {
  copied(down, across, in, out, x, y, g, dx, count, scratch);
}

}  // namespace onnxplain::cpu

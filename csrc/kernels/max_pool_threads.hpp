// The walk back through max pooling as a GPU's threads run it: each asks, for some places next to
// each other, which windows they are the first maximum of. Sums are made in the CPU's order, so the
// bits are the same. Nothing here needs a GPU.
#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/elementwise_threads.hpp"
#include "kernels/max_pool_grad.hpp"
#include "onnxplain/processors.hpp"

namespace onnxplain::threads {

template <class T>
struct PoolLaunch {
  WindowAxis down;
  WindowAxis across;
  Planes in;
  Planes pooled;
  const T* x;
  const T* y;
  const T* g;
  T* out;
  bool aligned;
  std::int64_t total;

  bool is_small() const {
    const auto fits = [](const WindowAxis& axis) {
      constexpr std::int64_t kMost = 1 << 14;  // the product of two is below 2^28
      return axis.kernel < kMost && axis.dilation < kMost && axis.stride < kMostIn32 / 4 &&
             axis.begin < kMostIn32 / 4;
    };
    return total < kMostIn32 / 4 && pooled.count * pooled.size() < kMostIn32 / 4 && fits(down) &&
           fits(across);
  }
  template <class Index, int Width>
  ONNXPLAIN_HOST_DEVICE void run(std::int64_t element, int count) const;
};

// A plane's numbers of one lane, as one thread sees them.
template <class T, class Signed>
class PoolPlane {
 public:
  ONNXPLAIN_HOST_DEVICE PoolPlane(const PoolLaunch<T>& launch, Signed plane, Signed lane)
      : launch_(launch),
        block_(static_cast<Signed>(launch.in.block)),
        x_(launch.x + static_cast<std::int64_t>(plane) * launch.in.size() + lane),
        y_(launch.y + static_cast<std::int64_t>(plane) * launch.pooled.size() + lane),
        g_(launch.g + static_cast<std::int64_t>(plane) * launch.pooled.size() + lane) {}

  // What a place with this value gets of all windows: the last ones first, and sums over the
  // windows above one another first.
  ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE float arrives(float value, Signed h, Signed w) const {
    const Axis down(launch_.down, launch_.pooled.height);
    const Axis across(launch_.across, launch_.pooled.width);
    const auto width = static_cast<Signed>(launch_.pooled.width);
    float total = 0.0f;
    for (Signed o = across.last(w); o >= 0 && across.covers(o, w); --o) {
      float sum = 0.0f;
      for (Signed p = down.last(h); across.meets(o, w) && p >= 0 && down.covers(p, h); --p) {
        const Signed at = (p * width + o) * block_;
        if (down.meets(p, h) && value == to_float(y_[at]) && first(value, p, o, h, w)) {
          sum += to_float(g_[at]);
        }
      }
      total += sum;
    }
    return total;
  }

 private:
  // Windows along an axis.
  struct Axis {
    Signed kernel, stride, dilation, begin, windows;

    ONNXPLAIN_HOST_DEVICE Axis(const WindowAxis& axis, std::int64_t count)
        : kernel(static_cast<Signed>(axis.kernel)),
          stride(static_cast<Signed>(axis.stride)),
          dilation(static_cast<Signed>(axis.dilation)),
          begin(static_cast<Signed>(axis.begin)),
          windows(static_cast<Signed>(count)) {}
    // Where a window's first place lies.
    ONNXPLAIN_HOST_DEVICE Signed start(Signed window) const { return window * stride - begin; }
    // The last window that does not begin behind a place.
    ONNXPLAIN_HOST_DEVICE Signed last(Signed place) const {
      using Unsigned = std::make_unsigned_t<Signed>;  // division is cheaper so
      const auto window =
          static_cast<Signed>(static_cast<Unsigned>(place + begin) / static_cast<Unsigned>(stride));
      return window < windows ? window : windows - 1;
    }
    // Whether a window that does not begin behind a place does not end before it.
    ONNXPLAIN_HOST_DEVICE bool covers(Signed window, Signed place) const {
      return place - start(window) <= (kernel - 1) * dilation;
    }
    // Whether a window has this place, which it covers.
    ONNXPLAIN_HOST_DEVICE bool meets(Signed window, Signed place) const {
      return dilation == 1 || (place - start(window)) % dilation == 0;
    }
  };

  // Whether (h, w) is the first place of window (p, o) with its maximum: the first in its row, and
  // no row before has it.
  ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE bool first(float maximum, Signed p, Signed o, Signed h,
                                                    Signed w) const {
    const Axis down(launch_.down, launch_.pooled.height);
    const Axis across(launch_.across, launch_.pooled.width);
    for (Signed k = 0, at = across.start(o); k < across.kernel && at < w;
         ++k, at += across.dilation) {
      if (at >= 0 && to_float(x_[offset(h, at)]) == maximum) {
        return false;
      }
    }
    for (Signed k = 0, at = down.start(p); k < down.kernel && at < h; ++k, at += down.dilation) {
      if (at >= 0 && of_row(across, o, at) == maximum) {
        return false;
      }
    }
    return of_row(across, o, h) == maximum;
  }

  // The maximum of a window's numbers in one row.
  ONNXPLAIN_HOST_DEVICE ONNXPLAIN_INLINE float of_row(const Axis& across, Signed o,
                                                      Signed h) const {
    const auto width = static_cast<Signed>(launch_.in.width);
    float most = -std::numeric_limits<float>::infinity();
    for (Signed k = 0, at = across.start(o); k < across.kernel && at < width;
         ++k, at += across.dilation) {
      const float value = at >= 0 ? to_float(x_[offset(h, at)]) : most;
      most = value > most ? value : most;
    }
    return most;
  }

  ONNXPLAIN_HOST_DEVICE Signed offset(Signed h, Signed w) const {
    return (h * static_cast<Signed>(launch_.in.width) + w) * block_;
  }

  const PoolLaunch<T>& launch_;
  Signed block_;
  const T* x_;
  const T* y_;
  const T* g_;
};

template <class T>
template <class Index, int Width>
ONNXPLAIN_HOST_DEVICE inline void PoolLaunch<T>::run(std::int64_t element, int count) const {
  using Signed = std::make_signed_t<Index>;
  const Input<T> from{x, 0, 0, false, aligned};
  const Pack<Width> values = read<Index, Width>(from, nullptr, element, count);
  Place<Index> at(in, static_cast<Index>(element));
  Pack<Width> made{};
  ONNXPLAIN_UNROLL
  for (int i = 0; i < Width; ++i) {
    if (i < count) {
      const PoolPlane<T, Signed> plane(*this, static_cast<Signed>(at.plane),
                                       static_cast<Signed>(at.lane));
      made.at[i] =
          plane.arrives(values.at[i], static_cast<Signed>(at.row), static_cast<Signed>(at.column));
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
[[nodiscard]] cudaError_t max_pool_grad(const threads::PoolLaunch<T>& launch, cudaStream_t stream);
}  // namespace onnxplain::cuda
#endif

// Patches put where they belong, as a GPU's threads do it: each asks, for some places next to each
// other, whether the patch or the whole value has them. Nothing here needs a GPU.
#pragma once

#include <cstdint>

#include "kernels/elementwise_threads.hpp"
#include "kernels/planes.hpp"
#include "kernels/surround.hpp"

namespace onnxplain::threads {

struct SurroundLaunch {
  Surroundings all;
  const float* patch;
  const float* whole;
  const std::int64_t* at;    // where patches begin, (samples, 2)
  const std::int64_t* from;  // where results begin
  float fill;
  float* out;
  bool aligned;
  std::int64_t total;

  bool is_small() const {
    return total <= kMostIn32 && all.planes() * all.patch[0] * all.patch[1] <= kMostIn32 &&
           all.wholes * all.channels * all.whole[0] * all.whole[1] <= kMostIn32;
  }
  template <class Index, int Width>
  ONNXPLAIN_HOST_DEVICE void run(std::int64_t element, int count) const;
};

inline SurroundLaunch surround_launch(const Surroundings& all, const float* patch,
                                      const float* whole, const std::int64_t* at,
                                      const std::int64_t* from, float fill, float* out) {
  return {all, patch, whole, at, from, fill, out, is_aligned(out), all.planes() * all.size()};
}

// Where one plane's patch and whole value lie, and where they begin in what is made of them.
template <class Index>
struct AroundPlane {
  const float* patch;
  const float* whole;
  std::int64_t from[2];  // where the result begins in the whole
  std::int64_t at[2];    // and in the patch

  ONNXPLAIN_HOST_DEVICE AroundPlane(const SurroundLaunch& launch, Index plane) {
    const auto channels = static_cast<Index>(launch.all.channels);
    const auto wholes = static_cast<Index>(launch.all.wholes);
    const Index sample = plane / channels;
    const Index own = sample % wholes * channels + (plane - sample * channels);
    patch = launch.patch + plane * static_cast<Index>(launch.all.patch[0]) *
                               static_cast<Index>(launch.all.patch[1]);
    whole = launch.whole +
            own * static_cast<Index>(launch.all.whole[0]) * static_cast<Index>(launch.all.whole[1]);
    for (int k = 0; k < 2; ++k) {
      const std::int64_t start = within_reach(launch.from[2 * sample + static_cast<Index>(k)]);
      from[k] = start;
      at[k] = start - within_reach(launch.at[2 * sample + static_cast<Index>(k)]);
    }
  }

  // The number at a place of the result.
  ONNXPLAIN_HOST_DEVICE float number(const SurroundLaunch& launch, Index row, Index column) const {
    const auto i = static_cast<std::int64_t>(row);
    const auto j = static_cast<std::int64_t>(column);
    const float* found = there(patch, launch.all.patch, at[0] + i, at[1] + j);
    if (found == nullptr) {
      found = there(whole, launch.all.whole, from[0] + i, from[1] + j);
    }
    return found == nullptr ? launch.fill : *found;
  }

 private:
  // Begins may be any numbers: what is so far away is as far as anything.
  ONNXPLAIN_HOST_DEVICE static std::int64_t within_reach(std::int64_t place) {
    constexpr std::int64_t kFar = std::int64_t{1} << 61;
    return place < -kFar ? -kFar : (place > kFar ? kFar : place);
  }
  // Where the number of a row and column lies; null where there is none.
  ONNXPLAIN_HOST_DEVICE static const float* there(const float* plane, const std::int64_t* lengths,
                                                  std::int64_t i, std::int64_t j) {
    return i >= 0 && i < lengths[0] && j >= 0 && j < lengths[1] ? plane + i * lengths[1] + j
                                                                : nullptr;
  }
};

template <class Index, int Width>
ONNXPLAIN_HOST_DEVICE inline void SurroundLaunch::run(std::int64_t element, int count) const {
  const Planes planes{all.planes(), all.made[0], all.made[1], 1};
  Place<Index> place(planes, static_cast<Index>(element));
  Pack<Width> made{};
  ONNXPLAIN_UNROLL
  for (int i = 0; i < Width; ++i) {
    if (i < count) {
      made.at[i] = AroundPlane<Index>(*this, place.plane).number(*this, place.row, place.column);
      place.next();
    }
  }
  write(out, aligned, element, count, made);
}

}  // namespace onnxplain::threads

#ifdef ONNXPLAIN_WITH_CUDA
namespace onnxplain::cuda {
// Starts work on a stream and returns the status of the launch, which the caller must check.
[[nodiscard]] cudaError_t surround(const threads::SurroundLaunch& launch, cudaStream_t stream);
}  // namespace onnxplain::cuda
#endif

// Parts put together as a GPU's threads do it: each asks, for some places next to each other, which
// part has them. Nothing here needs a GPU.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/elementwise_threads.hpp"
#include "kernels/interleave.hpp"

namespace onnxplain::threads {

// What fits the 4096 bytes of a kernel's parameters.
inline constexpr int kMostParts = 64;
inline constexpr int kMostStarts = 1024;  // places in a stride, down times across

template <class T>
struct InterleaveLaunch {
  Planes result;
  std::int64_t down;
  std::int64_t across;
  T* out;
  bool aligned;
  bool small;
  std::int64_t total;
  struct {
    const T* data;
    std::int64_t height;
    std::int64_t width;
  } part[kMostParts];
  std::int8_t starts[kMostStarts];  // the part that begins at a place of the first stride; -1: none

  bool is_small() const { return small; }
  template <class Index, int Width>
  ONNXPLAIN_HOST_DEVICE void run(std::int64_t element, int count) const;
};

static_assert(sizeof(InterleaveLaunch<float>) <= 4096 && sizeof(InterleaveLaunch<Half>) <= 4096);

// Throws std::invalid_argument where there are more parts, or longer strides, than fit; the parts
// are those that check_parts takes.
template <class T>
InterleaveLaunch<T> interleave_launch(const std::vector<PartOf<T>>& parts, std::int64_t down,
                                      std::int64_t across, const Planes& result, T* out);

template <class T>
template <class Index, int Width>
ONNXPLAIN_HOST_DEVICE inline void InterleaveLaunch<T>::run(std::int64_t element, int count) const {
  const auto step_down = static_cast<Index>(down);
  const auto step_across = static_cast<Index>(across);
  const auto block = static_cast<Index>(result.block);
  Place<Index> at(result, static_cast<Index>(element));
  Stored<T, Width> made{};
  ONNXPLAIN_UNROLL
  for (int i = 0; i < Width; ++i) {
    const Index row = at.row / step_down;
    const Index column = at.column / step_across;
    const Index start = (at.row - row * step_down) * step_across + at.column - column * step_across;
    const int which = i < count ? starts[start] : -1;
    if (which >= 0) {
      const auto height = static_cast<Index>(part[which].height);
      const auto width = static_cast<Index>(part[which].width);
      if (row < height && column < width) {
        made.at[i] =
            part[which].data[((at.plane * height + row) * width + column) * block + at.lane];
      }
    }
    at.next();
  }
  put(out, aligned, element, count, made);
}

}  // namespace onnxplain::threads

#ifdef ONNXPLAIN_WITH_CUDA
namespace onnxplain::cuda {
// Starts work on a stream and returns the status of the launch, which the caller must check.
template <class T>
[[nodiscard]] cudaError_t interleave(const threads::InterleaveLaunch<T>& launch,
                                     cudaStream_t stream);
}  // namespace onnxplain::cuda
#endif

// Products and sums are fused here where the processor can: no other device has a form of this
// whose bits it must have, and onnxruntime's convolutions fuse them, too.
#include "kernels/thin_transposed_conv.hpp"

#include <algorithm>
#include <cstring>

#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {
namespace {

// Some places of a row of the result's every s-th, of all channels.
struct Tile {
  const float* from;   // the place of the first tap
  std::int64_t pitch;  // numbers from a channel to the next
  std::int64_t channels;
  const float* weight;  // by channel, tap, and channel of the result
  std::int64_t taps;    // each reads one place before the last one's
  float* sums;
  std::int64_t apart;  // numbers from the sums of a channel to the next ones
};

#if defined(__GNUC__)
template <int kBytes>
struct Lanes {
  typedef float Of __attribute__((vector_size(kBytes)));
};

// Without it compilers read a vector anew for each channel of the result.
#if defined(__x86_64__)
#define ONNXPLAIN_KEEP(vector) asm("" : "+v"(vector))
#else
#define ONNXPLAIN_KEEP(vector) (void)(vector)
#endif

template <int kFew, int kWide, int kBytes>
ONNXPLAIN_INLINE inline void add_up(const Tile& tile) {
  using Vector = typename Lanes<kBytes>::Of;
  constexpr int kLanes = kBytes / 4;
  Vector sums[kFew][kWide];
#pragma GCC unroll 8
  for (int c = 0; c < kFew; ++c) {
#pragma GCC unroll 8
    for (int q = 0; q < kWide; ++q) {
      std::memcpy(&sums[c][q], tile.sums + c * tile.apart + kLanes * q, kBytes);
    }
  }
  const float* weight = tile.weight;
  for (std::int64_t m = 0; m < tile.channels; ++m) {
    const float* from = tile.from + m * tile.pitch;
    for (std::int64_t t = 0; t < tile.taps; ++t, --from, weight += kFew) {
      Vector g[kWide];
#pragma GCC unroll 8
      for (int q = 0; q < kWide; ++q) {
        std::memcpy(&g[q], from + kLanes * q, kBytes);
        ONNXPLAIN_KEEP(g[q]);
      }
#pragma GCC unroll 8
      for (int c = 0; c < kFew; ++c) {
#pragma GCC unroll 8
        for (int q = 0; q < kWide; ++q) {
          sums[c][q] += g[q] * weight[c];
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < kFew; ++c) {
#pragma GCC unroll 8
    for (int q = 0; q < kWide; ++q) {
      std::memcpy(tile.sums + c * tile.apart + kLanes * q, &sums[c][q], kBytes);
    }
  }
}
#undef ONNXPLAIN_KEEP
#else
template <int kFew, int kWide, int kBytes>
void add_up(const Tile& tile) {
  constexpr int kPlaces = kWide * kBytes / 4;
  const float* weight = tile.weight;
  for (std::int64_t m = 0; m < tile.channels; ++m) {
    const float* from = tile.from + m * tile.pitch;
    for (std::int64_t t = 0; t < tile.taps; ++t, --from, weight += kFew) {
      for (int c = 0; c < kFew; ++c) {
        for (int q = 0; q < kPlaces; ++q) {
          tile.sums[c * tile.apart + q] += from[q] * weight[c];
        }
      }
    }
  }
}
#endif

template <int kWide, int kBytes>
ONNXPLAIN_INLINE inline void of_few(std::int64_t few, const Tile& tile) {
  switch (few) {
    case 1:
      return add_up<1, kWide, kBytes>(tile);
    case 2:
      return add_up<2, kWide, kBytes>(tile);
    case 3:
      return add_up<3, kWide, kBytes>(tile);
    default:
      return add_up<4, kWide, kBytes>(tile);
  }
}

// Tiles of at most `wide` vectors.
template <int kMost, int kBytes>
ONNXPLAIN_INLINE inline void of_width(std::int64_t few, std::int64_t wide, const Tile& tile) {
  if constexpr (kMost > 1) {
    if (wide < kMost) {
      return of_width<kMost - 1, kBytes>(few, wide, tile);
    }
  }
  of_few<kMost, kBytes>(few, tile);
}

// How many places a vector has, how many vectors a tile, and what adds it up.
struct Loop {
  std::int64_t lanes;
  std::int64_t most;
  void (*run)(std::int64_t few, std::int64_t wide, const Tile& tile);
};

void plain(std::int64_t few, std::int64_t wide, const Tile& tile) {
  of_width<2, 16>(few, wide, tile);
}

#if defined(__GNUC__) && defined(__x86_64__)
__attribute__((target("avx512f"))) void with_avx512(std::int64_t few, std::int64_t wide,
                                                    const Tile& tile) {
  of_width<4, 64>(few, wide, tile);
}
__attribute__((target("avx2,fma"))) void with_avx2(std::int64_t few, std::int64_t wide,
                                                   const Tile& tile) {
  of_width<3, 32>(few, wide, tile);
}
#endif

Loop loop() {
#if defined(__GNUC__) && defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) {
    return {16, 4, with_avx512};
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return {8, 3, with_avx2};
  }
#endif
  return {4, 2, plain};
}

std::int64_t ceil_of(std::int64_t a, std::int64_t b) {
  return a >= 0 ? (a + b - 1) / b : -(-a / b);
}

// The r-th places of an axis: y[stride q + r - begin], q = first, ..., of the taps r + stride t.
struct Phase {
  std::int64_t taps;
  std::int64_t first;
  std::int64_t places;
};

Phase phase(const ThinAxis& axis, std::int64_t r) {
  const std::int64_t first = ceil_of(axis.begin - r, axis.stride);
  const std::int64_t end = ceil_of(axis.to + axis.begin - r, axis.stride);
  return {r < axis.kernel ? (axis.kernel - r - 1) / axis.stride + 1 : 0, first,
          std::max<std::int64_t>(0, end - first)};
}

}  // namespace

std::vector<float> thin_weight(const ThinConv& conv, const float* weight) {
  const std::int64_t plane = conv.down.kernel * conv.across.kernel;
  std::vector<float> made;
  made.reserve(static_cast<std::size_t>(conv.channels * conv.few * plane));
  for (std::int64_t i = 0; i < conv.down.kernel; ++i) {
    for (std::int64_t r = 0; r < std::min(conv.across.stride, conv.across.kernel); ++r) {
      for (std::int64_t m = 0; m < conv.channels; ++m) {
        for (std::int64_t j = r; j < conv.across.kernel; j += conv.across.stride) {
          for (std::int64_t c = 0; c < conv.few; ++c) {
            made.push_back(weight[(m * conv.few + c) * plane + i * conv.across.kernel + j]);
          }
        }
      }
    }
  }
  return made;
}

void thin_rows(const ThinConv& conv, const std::vector<float>& weight, const float* g, float* out,
               std::int64_t begin, std::int64_t end, std::vector<float>& scratch) {
  const ThinAxis& down = conv.down;
  const ThinAxis& across = conv.across;
  const Loop run = loop();
  std::int64_t before = 0;
  std::int64_t last = across.from;
  std::int64_t most = 0;
  for (std::int64_t r = 0; r < across.stride; ++r) {
    const Phase each = phase(across, r);
    const std::int64_t wide = ceil_of(each.places, run.lanes) * run.lanes;
    before = std::max(before, each.taps - 1 - each.first);
    last = std::max(last, each.first + wide);
    most = std::max(most, wide);
  }
  // Rows of the input that these read, between zeros.
  const std::int64_t top =
      std::max<std::int64_t>(0, ceil_of(begin + down.begin - down.kernel + 1, down.stride));
  const std::int64_t bottom = std::min(down.from, (end - 1 + down.begin) / down.stride + 1);
  const std::int64_t pitch = before + last;
  const std::int64_t rows = std::max<std::int64_t>(0, bottom - top);
  scratch.assign(static_cast<std::size_t>(rows * conv.channels * pitch + conv.few * most), 0.0f);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t m = 0; m < conv.channels; ++m) {
      std::copy_n(g + (m * down.from + top + i) * across.from, across.from,
                  scratch.data() + (i * conv.channels + m) * pitch + before);
    }
  }
  float* sums = scratch.data() + rows * conv.channels * pitch;
  const std::int64_t kernel_row = conv.channels * conv.few * across.kernel;
  for (std::int64_t h = begin; h < end; ++h) {
    for (std::int64_t r = 0; r < across.stride; ++r) {
      const Phase each = phase(across, r);
      std::fill_n(sums, conv.few * most, 0.0f);
      const std::int64_t lies =
          conv.channels * conv.few *
          (std::min(r, across.kernel % across.stride) + r * (across.kernel / across.stride));
      for (std::int64_t i = (h + down.begin) % down.stride; i < down.kernel && each.taps > 0;
           i += down.stride) {
        const std::int64_t from = (h + down.begin - i) / down.stride;
        if (h + down.begin < i || from >= down.from) {
          continue;
        }
        for (std::int64_t q = 0; q < each.places; q += run.most * run.lanes) {
          const std::int64_t wide = ceil_of(each.places - q, run.lanes);
          run.run(conv.few, std::min(wide, run.most),
                  {scratch.data() + (from - top) * conv.channels * pitch + before + each.first + q,
                   pitch, conv.channels, weight.data() + i * kernel_row + lies, each.taps, sums + q,
                   most});
        }
      }
      for (std::int64_t c = 0; c < conv.few; ++c) {
        float* row = out + (c * down.to + h) * across.to;
        for (std::int64_t q = 0; q < each.places; ++q) {
          row[(each.first + q) * across.stride + r - across.begin] = sums[c * most + q];
        }
      }
    }
  }
}

}  // namespace onnxplain::cpu

// Products and sums are fused here where the processor can: no other device has a form of this
// whose bits it must have, and onnxruntime's convolutions fuse them, too.
#include "kernels/winograd.hpp"

#include <algorithm>

#include "kernels/laid_planes.hpp"
#include "kernels/vectors.hpp"
#include "kernels/winograd_points.hpp"
#include "onnxplain/processors.hpp"

namespace onnxplain::cpu {
namespace {

using winograd::given_points;
using winograd::kernel_points;
using winograd::made_places;

constexpr int kEdge = 6;  // places of a tile along an axis, of what is given
constexpr int kTile = static_cast<int>(kWinogradTile);
constexpr std::int64_t kBlock = kWinogradBlock;
constexpr int kPoints = kEdge * kEdge;
// Channels given and made whose kernels are transformed at once, to stay in a core's cache.
constexpr std::int64_t kGiven = 32;
constexpr std::int64_t kMade = 64;
// Numbers between the points of tiles, kernels and products: were they powers of two apart, they
// would have to share few lines of a cache.
constexpr std::int64_t kBetween = kBlock;

constexpr std::int64_t kOfKernels = kMade * kGiven + kBetween;

// What is worked on: rows of tiles.
struct Job {
  const WinogradConv& conv;
  const WinogradData& data;
  std::int64_t begin;
  std::int64_t end;
  float* points;    // (points, tiles, channels) of what is given
  float* kernels;   // (points, kMade / kBlock, kGiven, kBlock)
  float* products;  // (points, tiles, kMade)
  float* laid;      // rows of a plane

  std::int64_t tiles() const { return (end - begin) * conv.tiles(1); }
  // Numbers from a point to the next.
  std::int64_t of_points() const { return tiles() * conv.channels + kBetween; }
  std::int64_t of_products() const { return tiles() * kMade + kBetween; }
  Sample<const float> given(std::int64_t row) const {
    const std::int64_t size = conv.channels * data.rows * data.columns;
    return {data.from + row / conv.tiles(0) * size, conv.channels, data.rows, data.columns,
            data.block};
  }
  Sample<float> made(std::int64_t row) const {
    const std::int64_t size = conv.made * conv.to[0] * conv.to[1];
    return {data.to + row / conv.tiles(0) * size, conv.made, conv.to[0], conv.to[1], data.block_to};
  }
  // The place of a row of tiles in its sample, in rows of tiles.
  std::int64_t place(std::int64_t row) const { return row % conv.tiles(0); }
};

// The points of a tile that begins at a row and column of a plane.
template <class V>
ONNXPLAIN_INLINE inline void take_tile(const Plane<const float>& plane, std::int64_t row,
                                       std::int64_t column, std::int64_t apart, float* to) {
  const bool whole = plane.has(row, column) && plane.has(row + kEdge - 1, column + kEdge - 1);
  V down[kEdge][kEdge];
  for (int j = 0; j < kEdge; ++j) {
    V x[kEdge];
    V made[kEdge];
    for (int i = 0; i < kEdge; ++i) {
      if (whole || plane.has(row + i, column + j)) {
        load(plane.at(row + i, column + j), x[i]);
      } else {
        x[i] = V{};
      }
    }
    given_points(x, made);
    for (int i = 0; i < kEdge; ++i) {
      down[i][j] = made[i];
    }
  }
  for (int i = 0; i < kEdge; ++i) {
    V made[kEdge];
    given_points(down[i], made);
    for (int j = 0; j < kEdge; ++j) {
      store(made[j], to + (i * kEdge + j) * apart);
    }
  }
}

// The points of all tiles and channels given.
template <int kBytes>
ONNXPLAIN_INLINE inline void take(const Job& job) {
  constexpr int kLanes = kBytes / 4;
  const std::int64_t across = job.conv.tiles(1);
  const std::int64_t channels = job.conv.channels;
  for (std::int64_t k = job.begin; k < job.end; ++k) {
    const std::int64_t row = job.place(k) * kTile - job.conv.begin[0];
    const Sample<const float> from = job.given(k);
    for (std::int64_t channel = 0; channel < channels; channel += kLanes) {
      const auto plane = lay<kLanes>(from, channel, row, row + kEdge, job.laid);
      for (std::int64_t t = 0; t < across; ++t) {
        take_tile<Vector<kBytes>>(plane, row, t * kTile - job.conv.begin[1], job.of_points(),
                                  job.points + ((k - job.begin) * across + t) * channels + channel);
      }
    }
  }
}

// The places of a tile of the result from its products.
template <class V>
ONNXPLAIN_INLINE inline void give_tile(const float* from, std::int64_t apart,
                                       const Plane<float>& plane, std::int64_t row,
                                       std::int64_t column) {
  V down[kTile][kEdge];
  for (int j = 0; j < kEdge; ++j) {
    V m[kEdge];
    V made[kTile];
    for (int i = 0; i < kEdge; ++i) {
      load(from + (i * kEdge + j) * apart, m[i]);
    }
    made_places(m, made);
    for (int i = 0; i < kTile; ++i) {
      down[i][j] = made[i];
    }
  }
  for (int i = 0; i < kTile; ++i) {
    V made[kTile];
    made_places(down[i], made);
    for (int j = 0; j < kTile; ++j) {
      if (plane.has(row + i, column + j)) {
        store(made[j], plane.at(row + i, column + j));
      }
    }
  }
}

// Channels [first, last) of the result, of all tiles.
template <int kBytes>
ONNXPLAIN_INLINE inline void give(const Job& job, std::int64_t first, std::int64_t last) {
  constexpr int kLanes = kBytes / 4;
  const std::int64_t across = job.conv.tiles(1);
  for (std::int64_t k = job.begin; k < job.end; ++k) {
    const std::int64_t row = job.place(k) * kTile;
    const Sample<float> to = job.made(k);
    for (std::int64_t channel = first; channel < last; channel += kLanes) {
      const auto plane = place_of<kLanes>(to, channel, row, job.laid);
      for (std::int64_t t = 0; t < across; ++t) {
        give_tile<Vector<kBytes>>(
            job.products + ((k - job.begin) * across + t) * kMade + channel - first,
            job.of_products(), plane, row, t * kTile);
      }
      lay_back<kLanes>(to, channel, row, row + kTile, job.laid);
    }
  }
}

// The points of the kernels of some channels.
template <int kBytes>
ONNXPLAIN_INLINE inline void transform(const Job& job, std::int64_t given, std::int64_t count,
                                       std::int64_t first, std::int64_t last) {
  constexpr int kLanes = kBytes / 4;
  using V = Vector<kBytes>;
  for (std::int64_t block = 0; block < (last - first) / kBlock; ++block) {
    for (std::int64_t c = 0; c < count; ++c) {
      const float* kernel =
          job.data.kernel +
          ((first / kBlock + block) * job.conv.channels + given + c) * kWinogradKernel * kBlock;
      float* to = job.kernels + (block * kGiven + c) * kBlock;
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        V down[kEdge][3];
        for (int j = 0; j < 3; ++j) {
          V k[3];
          V made[kEdge];
          for (int i = 0; i < 3; ++i) {
            load(kernel + (i * 3 + j) * kBlock + lane, k[i]);
          }
          kernel_points(k, made);
          for (int i = 0; i < kEdge; ++i) {
            down[i][j] = made[i];
          }
        }
        for (int i = 0; i < kEdge; ++i) {
          V made[kEdge];
          kernel_points(down[i], made);
          for (int j = 0; j < kEdge; ++j) {
            store(made[j], to + (i * kEdge + j) * kOfKernels + lane);
          }
        }
      }
    }
  }
}

// Some tiles at one point, and channels of the result.
struct Product {
  const float* points;  // those of the next tile are `channels` further
  std::int64_t channels;
  std::int64_t count;  // channels that are added up
  const float* kernels;
  float* products;  // those of the next tile are kMade further
  bool begins;      // nothing was added up before
};

// The products of kTall tiles with kWide vectors of channels of the result, added up over channels
// given, one after the other.
template <int kBytes, int kWide, int kTall>
ONNXPLAIN_INLINE inline void multiply(const Product& of) {
  constexpr int kLanes = kBytes / 4;
  using V = Vector<kBytes>;
  V sums[kTall][kWide] = {};
  if (!of.begins) {
#pragma GCC unroll 8
    for (int t = 0; t < kTall; ++t) {
#pragma GCC unroll 8
      for (int q = 0; q < kWide; ++q) {
        load(of.products + t * kMade + q * kLanes, sums[t][q]);
      }
    }
  }
  for (std::int64_t c = 0; c < of.count; ++c) {
    V w[kWide];
#pragma GCC unroll 8
    for (int q = 0; q < kWide; ++q) {
      const int lane = q * kLanes;
      load(of.kernels + (lane / kBlock * kGiven + c) * kBlock + lane % kBlock, w[q]);
    }
#pragma GCC unroll 8
    for (int t = 0; t < kTall; ++t) {
      const float point = of.points[t * of.channels + c];
#pragma GCC unroll 8
      for (int q = 0; q < kWide; ++q) {
        sums[t][q] += w[q] * point;
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTall; ++t) {
#pragma GCC unroll 8
    for (int q = 0; q < kWide; ++q) {
      store(sums[t][q], of.products + t * kMade + q * kLanes);
    }
  }
}

// At most kTall tiles at once.
template <int kBytes, int kWide, int kTall>
ONNXPLAIN_INLINE inline void multiply_tiles(Product of, std::int64_t tiles) {
  for (; tiles >= kTall; tiles -= kTall) {
    multiply<kBytes, kWide, kTall>(of);
    of.points += kTall * of.channels;
    of.products += kTall * kMade;
  }
  if constexpr (kTall > 1) {
    if (tiles > 0) {
      multiply_tiles<kBytes, kWide, kTall - 1>(of, tiles);
    }
  }
}

// At most kBlocks blocks of channels at once.
template <int kBytes, int kBlocks, int kTall>
ONNXPLAIN_INLINE inline void multiply_blocks(Product of, std::int64_t tiles, std::int64_t blocks) {
  for (; blocks >= kBlocks; blocks -= kBlocks) {
    multiply_tiles<kBytes, kBlocks * 64 / kBytes, kTall>(of, tiles);
    of.kernels += kBlocks * kGiven * kBlock;
    of.products += kBlocks * kBlock;
  }
  if constexpr (kBlocks > 1) {
    if (blocks > 0) {
      multiply_blocks<kBytes, kBlocks - 1, kTall>(of, tiles, blocks);
    }
  }
}

template <int kBytes, int kBlocks, int kTall>
ONNXPLAIN_INLINE inline void rows(const Job& job, std::int64_t first, std::int64_t last) {
  const std::int64_t channels = job.conv.channels;
  take<kBytes>(job);
  for (; first < last; first += kMade) {
    const std::int64_t end = std::min(first + kMade, last);
    for (std::int64_t given = 0; given < channels; given += kGiven) {
      const std::int64_t count = std::min(kGiven, channels - given);
      transform<kBytes>(job, given, count, first, end);
      for (std::int64_t point = 0; point < kPoints; ++point) {
        const Product of{job.points + point * job.of_points() + given,
                         channels,
                         count,
                         job.kernels + point * kOfKernels,
                         job.products + point * job.of_products(),
                         given == 0};
        multiply_blocks<kBytes, kBlocks, kTall>(of, job.tiles(), (end - first) / kBlock);
      }
    }
    give<kBytes>(job, first, end);
  }
}

using Run = void (*)(const Job&, std::int64_t, std::int64_t);

void plain(const Job& job, std::int64_t first, std::int64_t last) {
  rows<16, 1, 2>(job, first, last);
}

#if defined(__GNUC__) && defined(__x86_64__)
__attribute__((target("avx512f"))) void with_avx512(const Job& job, std::int64_t first,
                                                    std::int64_t last) {
  rows<64, 4, 6>(job, first, last);
}
__attribute__((target("avx2,fma"))) void with_avx2(const Job& job, std::int64_t first,
                                                   std::int64_t last) {
  rows<32, 1, 6>(job, first, last);
}
#endif

Run run() {
#if defined(__GNUC__) && defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) {
    return with_avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return with_avx2;
  }
#endif
  return plain;
}

}  // namespace

std::int64_t winograd_scratch(const WinogradConv& conv, std::int64_t columns, std::int64_t rows) {
  const std::int64_t tiles = rows * conv.tiles(1);
  return kPoints * (tiles * (conv.channels + kMade) + 2 * kBetween + kOfKernels) +
         kEdge * std::max(columns, conv.to[1]) * kBlock;
}

void winograd_rows(const WinogradConv& conv, const WinogradData& data, std::int64_t begin,
                   std::int64_t end, std::int64_t first, std::int64_t last, float* scratch) {
  Job job{conv, data, begin, end, scratch, nullptr, nullptr, nullptr};
  job.kernels = job.points + kPoints * job.of_points();
  job.products = job.kernels + kPoints * kOfKernels;
  job.laid = job.products + kPoints * job.of_products();
  run()(job, first, last);
}

}  // namespace onnxplain::cpu

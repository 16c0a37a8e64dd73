#include "kernels/interleave.hpp"

#include <algorithm>

#include "onnxplain/processors.hpp"
#include "onnxplain/streaming.hpp"

namespace onnxplain {

template <class T>
void check_parts(const std::vector<PartOf<T>>& parts, std::int64_t down, std::int64_t across) {
  require(down >= 1 && across >= 1, "Interleave: strides are at least 1");
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const PartOf<T>& part = parts[k];
    require(part.row >= 0 && part.row < down && part.column >= 0 && part.column < across,
            "Interleave: a part begins outside of the first stride");
    for (std::size_t j = 0; j < k; ++j) {
      require(parts[j].row != part.row || parts[j].column != part.column,
              "Interleave: two parts begin at the same place");
    }
  }
}

template void check_parts(const std::vector<PartOf<float>>&, std::int64_t, std::int64_t);
template void check_parts(const std::vector<PartOf<Half>>&, std::int64_t, std::int64_t);

namespace cpu {
namespace {

// How many of `there` places, `stride` apart from `begin` on, lie before `end`.
std::int64_t within(std::int64_t there, std::int64_t begin, std::int64_t stride, std::int64_t end) {
  return std::min(there, begin >= end ? 0 : (end - begin - 1) / stride + 1);
}

// Copies a row's numbers, `lanes` of which lie together, `across` places apart.
template <int kLanes, class T>
void spread(const T* from, std::int64_t places, std::int64_t across, T* to) {
  for (std::int64_t j = 0; j < places; ++j) {
    for (int l = 0; l < kLanes; ++l) {
      to[j * across * kLanes + l] = from[j * kLanes + l];
    }
  }
}

template <class T>
void spread(std::int64_t lanes, const T* from, std::int64_t places, std::int64_t across, T* to) {
  switch (lanes) {
    case 16:
      return spread<16>(from, places, across, to);
    case 8:
      return spread<8>(from, places, across, to);
    case 4:
      return spread<4>(from, places, across, to);
    default:
      require(lanes == 1, "Interleave: blocks have 1, 4, 8 or 16 channels");
      return spread<1>(from, places, across, to);
  }
}

// Copies two rows by turns.
template <class T>
ONNXPLAIN_INLINE inline void by_turns(const T* first, const T* second, std::int64_t places, T* to) {
  for (std::int64_t j = 0; j < places; ++j) {
    to[2 * j] = first[j];
    to[2 * j + 1] = second[j];
  }
}

ONNXPLAIN_FOR_EACH_PROCESSOR
void weave(const float* first, const float* second, std::int64_t places, float* to) {
  by_turns(first, second, places, to);
}

ONNXPLAIN_FOR_EACH_PROCESSOR
void weave(const Half* first, const Half* second, std::int64_t places, Half* to) {
  by_turns(first, second, places, to);
}

// One row of a plane of the result, of which some parts have places.
template <class T>
void make_row(const std::vector<PartOf<T>>& parts, std::int64_t down, std::int64_t across,
              const Planes& result, std::int64_t which, std::int64_t row, T* to) {
  const std::int64_t from_row = row / down;
  const PartOf<T>* pair[2] = {};  // two parts that have places by turns
  std::int64_t places[2] = {};
  std::int64_t covered = 0;
  const auto start_of = [&](const PartOf<T>& part) {
    return part.data + (which * part.height + from_row) * part.width * result.block;
  };
  const auto has = [&](const PartOf<T>& part) {
    return part.row == row - from_row * down && from_row < part.height;
  };
  for (const PartOf<T>& part : parts) {
    if (has(part)) {
      const std::int64_t there = within(part.width, part.column, across, result.width);
      covered += there;
      if (across == 2 && result.block == 1) {
        pair[part.column] = &part;
        places[part.column] = there;
      }
    }
  }
  if (covered != result.width) {
    std::fill_n(to, result.width * result.block, T{});
  }
  const std::int64_t woven =
      pair[0] != nullptr && pair[1] != nullptr ? std::min(places[0], places[1]) : 0;
  if (woven > 0) {
    weave(start_of(*pair[0]), start_of(*pair[1]), woven, to);
  }
  for (const PartOf<T>& part : parts) {
    if (has(part)) {
      spread(result.block, start_of(part) + woven * result.block,
             within(part.width, part.column, across, result.width) - woven, across,
             to + (part.column + woven * across) * result.block);
    }
  }
}

}  // namespace

template <class T>
void interleave(const std::vector<PartOf<T>>& parts, std::int64_t down, std::int64_t across,
                const Planes& result, std::int64_t which, T* out) {
  const std::int64_t wide = result.width * result.block;
  T* to = out + which * result.size();
  if (!past_caches(result.count * result.size() * static_cast<std::int64_t>(sizeof(T)))) {
    for (std::int64_t row = 0; row < result.height; ++row) {
      make_row(parts, down, across, result, which, row, to + row * wide);
    }
    return;
  }
  std::vector<T> made(static_cast<std::size_t>(wide));
  for (std::int64_t row = 0; row < result.height; ++row) {
    make_row(parts, down, across, result, which, row, made.data());
    stream(made.data(), wide, to + row * wide);
  }
  finish_streaming();
}

template void interleave(const std::vector<PartOf<float>>&, std::int64_t, std::int64_t,
                         const Planes&, std::int64_t, float*);
template void interleave(const std::vector<PartOf<Half>>&, std::int64_t, std::int64_t,
                         const Planes&, std::int64_t, Half*);

}  // namespace cpu
}  // namespace onnxplain

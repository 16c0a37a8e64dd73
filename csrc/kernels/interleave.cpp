#include "kernels/interleave.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

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
ONNXPLAIN_FOR_EACH_PROCESSOR
void weave(const float* first, const float* second, std::int64_t places, float* to) {
  for (std::int64_t j = 0; j < places; ++j) {
    to[2 * j] = first[j];
    to[2 * j + 1] = second[j];
  }
}

// Two halves at once: compilers make no vectors of them alone.
ONNXPLAIN_FOR_EACH_PROCESSOR
void weave(const Half* first, const Half* second, std::int64_t places, Half* to) {
  constexpr int kFirst = std::endian::native == std::endian::little ? 0 : 16;
  for (std::int64_t j = 0; j < places; ++j) {
    const std::uint32_t two = static_cast<std::uint32_t>(first[j].bits) << kFirst |
                              static_cast<std::uint32_t>(second[j].bits) << (16 - kFirst);
    std::memcpy(to + 2 * j, &two, sizeof(two));
  }
}

// A part, and how many of its places in a row lie in the result.
template <class T>
struct Cut {
  const PartOf<T>* part;
  std::int64_t places;
};

template <class T>
std::vector<Cut<T>> cuts(const std::vector<PartOf<T>>& parts, std::int64_t across,
                         std::int64_t width) {
  std::vector<Cut<T>> made;
  for (const PartOf<T>& part : parts) {
    made.push_back({&part, within(part.width, part.column, across, width)});
  }
  return made;
}

// One row of a plane of the result, of which some parts have places: those that begin `first` rows
// behind it, with their row `from_row`.
template <class T>
void make_row(const std::vector<Cut<T>>& parts, std::int64_t across, const Planes& result,
              std::int64_t which, std::int64_t first, std::int64_t from_row, T* to) {
  const Cut<T>* pair[2] = {};  // two parts that have places by turns
  std::int64_t covered = 0;
  const auto start_of = [&](const PartOf<T>& part) {
    return part.data + (which * part.height + from_row) * part.width * result.block;
  };
  const auto has = [&](const PartOf<T>& part) {
    return part.row == first && from_row < part.height;
  };
  for (const Cut<T>& cut : parts) {
    if (has(*cut.part)) {
      covered += cut.places;
      if (across == 2 && result.block == 1) {
        pair[cut.part->column] = &cut;
      }
    }
  }
  if (covered != result.width) {
    std::fill_n(to, result.width * result.block, T{});
  }
  const std::int64_t woven =
      pair[0] != nullptr && pair[1] != nullptr ? std::min(pair[0]->places, pair[1]->places) : 0;
  if (woven > 0) {
    weave(start_of(*pair[0]->part), start_of(*pair[1]->part), woven, to);
  }
  for (const Cut<T>& cut : parts) {
    if (has(*cut.part) && cut.places > woven) {
      spread(result.block, start_of(*cut.part) + woven * result.block, cut.places - woven, across,
             to + (cut.part->column + woven * across) * result.block);
    }
  }
}

}  // namespace

template <class T>
void interleave(const std::vector<PartOf<T>>& parts, std::int64_t down, std::int64_t across,
                const Planes& result, std::int64_t which, T* out) {
  const std::int64_t wide = result.width * result.block;
  const std::vector<Cut<T>> all = cuts(parts, across, result.width);
  const bool streamed =
      past_caches(result.count * result.size() * static_cast<std::int64_t>(sizeof(T)));
  std::vector<T> made(streamed ? static_cast<std::size_t>(wide) : 0);
  T* to = out + which * result.size();
  std::int64_t first = 0;
  std::int64_t from_row = 0;
  for (std::int64_t row = 0; row < result.height; ++row, to += wide) {
    make_row(all, across, result, which, first, from_row, streamed ? made.data() : to);
    if (streamed) {
      stream(made.data(), wide, to);
    }
    if (++first == down) {
      first = 0;
      ++from_row;
    }
  }
  if (streamed) {
    finish_streaming();
  }
}

template void interleave(const std::vector<PartOf<float>>&, std::int64_t, std::int64_t,
                         const Planes&, std::int64_t, float*);
template void interleave(const std::vector<PartOf<Half>>&, std::int64_t, std::int64_t,
                         const Planes&, std::int64_t, Half*);

}  // namespace cpu
}  // namespace onnxplain

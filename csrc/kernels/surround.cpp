#include "kernels/surround.hpp"

#include <algorithm>

#include "onnxplain/check.hpp"

namespace onnxplain {

Surroundings surroundings(const std::vector<std::int64_t>& patch,
                          const std::vector<std::int64_t>& whole,
                          const std::vector<std::int64_t>& at,
                          const std::vector<std::int64_t>& from,
                          const std::vector<std::int64_t>& size) {
  require(patch.size() == 4 && whole.size() == 4 && patch[1] == whole[1],
          "Surround: patches and the whole must have four axes, and the same channels");
  const std::vector<std::int64_t> places = {patch[0], 2};
  require(at == places && from == places, "Surround: there must be two begins for each patch");
  require(size.size() == 2 && size[0] >= 0 && size[1] >= 0,
          "Surround: the size must be two numbers, at least 0");
  require(whole[0] > 0 ? patch[0] % whole[0] == 0 : patch[0] == 0,
          "Surround: there must be as many patches for each sample of the whole");
  return {patch[0],          patch[1], whole[0], {patch[2], patch[3]}, {whole[2], whole[3]},
          {size[0], size[1]}};
}

namespace cpu {
namespace {

// Which places of a line of `length` lie on another of `there` that begins `begin` behind it.
struct Span {
  std::int64_t first, last;

  Span(std::int64_t begin, std::int64_t there, std::int64_t length) {
    // Begins may be any numbers: what is beyond an end is so however far.
    const std::int64_t low = std::clamp<std::int64_t>(begin, -there, length);
    first = std::max<std::int64_t>(low, 0);
    last = std::clamp<std::int64_t>(low + there, first, length);
    shift = low;
  }
  std::int64_t shift;
};

// Where something at `place` is, from what begins at `from`, without overflow.
std::int64_t behind(std::int64_t place, std::int64_t from) {
  constexpr std::int64_t kFar = std::int64_t{1} << 61;
  return std::clamp(place, -kFar, kFar) - std::clamp(from, -kFar, kFar);
}

void copy(const float* from, const std::int64_t* lengths, const Span& rows, const Span& columns,
          std::int64_t width, float* to) {
  if (columns.first == columns.last) {
    return;  // there may be no memory at all
  }
  for (std::int64_t i = rows.first; i < rows.last; ++i) {
    const float* line = from + (i - rows.shift) * lengths[1] - columns.shift;
    std::copy(line + columns.first, line + columns.last, to + i * width + columns.first);
  }
}

}  // namespace

void surround(const Surroundings& all, const float* patch, const float* whole,
              const std::int64_t* at, const std::int64_t* from, float fill, std::int64_t begin,
              std::int64_t end, float* out) {
  for (std::int64_t plane = begin; plane < end; ++plane) {
    const std::int64_t sample = plane / all.channels;
    const std::int64_t channel = plane % all.channels;
    const std::int64_t* start = from + 2 * sample;
    const std::int64_t* place = at + 2 * sample;
    float* to = out + plane * all.size();
    const Span rows(behind(0, start[0]), all.whole[0], all.made[0]);
    const Span columns(behind(0, start[1]), all.whole[1], all.made[1]);
    if ((rows.last - rows.first) * (columns.last - columns.first) != all.size()) {
      std::fill_n(to, all.size(), fill);
    }
    const std::int64_t own = (sample % all.wholes) * all.channels + channel;
    copy(whole + own * all.whole[0] * all.whole[1], all.whole, rows, columns, all.made[1], to);
    copy(patch + plane * all.patch[0] * all.patch[1], all.patch,
         Span(behind(place[0], start[0]), all.patch[0], all.made[0]),
         Span(behind(place[1], start[1]), all.patch[1], all.made[1]), all.made[1], to);
  }
}

}  // namespace cpu
}  // namespace onnxplain

#include "kernels/interleave_threads.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

namespace onnxplain::threads {

InterleaveLaunch interleave_launch(const std::vector<Part>& parts, std::int64_t down,
                                   std::int64_t across, const Planes& result, float* out) {
  require(parts.size() <= kMostParts, "Interleave: there are " + std::to_string(parts.size()) +
                                          " parts, and on a GPU at most " +
                                          std::to_string(kMostParts) +
                                          "; export with form='portable'");
  require(down <= kMostStarts && across <= kMostStarts && down * across <= kMostStarts,
          "Interleave: strides are " + std::to_string(down) + " and " + std::to_string(across) +
              ", whose product is on a GPU at most " + std::to_string(kMostStarts) +
              "; export with form='portable'");
  InterleaveLaunch made{};
  made.result = result;
  made.down = down;
  made.across = across;
  made.out = out;
  made.aligned = is_aligned(out);
  made.total = result.count * result.size();
  made.small = made.total <= kMostIn32;
  std::fill_n(made.starts, kMostStarts, std::int8_t{-1});
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const Part& part = parts[k];
    made.part[k] = {part.data, part.height, part.width};
    made.starts[part.row * across + part.column] = static_cast<std::int8_t>(k);
    made.small = made.small && result.count * part.height * part.width * result.block <= kMostIn32;
  }
  return made;
}

}  // namespace onnxplain::threads

#include "kernels/interleave_threads.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

namespace onnxplain::threads {

template <class T>
InterleaveLaunch<T> interleave_launch(const std::vector<PartOf<T>>& parts, std::int64_t down,
                                      std::int64_t across, const Planes& result, T* out) {
  require(parts.size() <= kMostParts, "Interleave: there are " + std::to_string(parts.size()) +
                                          " parts, and on a GPU at most " +
                                          std::to_string(kMostParts) +
                                          "; export with form='portable'");
  require(down <= kMostStarts && across <= kMostStarts && down * across <= kMostStarts,
          "Interleave: strides are " + std::to_string(down) + " and " + std::to_string(across) +
              ", whose product is on a GPU at most " + std::to_string(kMostStarts) +
              "; export with form='portable'");
  InterleaveLaunch<T> made{};
  made.result = result;
  made.down = down;
  made.across = across;
  made.out = out;
  made.aligned = is_aligned(out);
  made.total = result.count * result.size();
  made.small = made.total <= kMostIn32;
  std::fill_n(made.starts, kMostStarts, std::int8_t{-1});
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const PartOf<T>& part = parts[k];
    made.part[k] = {part.data, part.height, part.width};
    made.starts[part.row * across + part.column] = static_cast<std::int8_t>(k);
    made.small = made.small && result.count * part.height * part.width * result.block <= kMostIn32;
  }
  return made;
}

template InterleaveLaunch<float> interleave_launch(const std::vector<PartOf<float>>&, std::int64_t,
                                                   std::int64_t, const Planes&, float*);
template InterleaveLaunch<Half> interleave_launch(const std::vector<PartOf<Half>>&, std::int64_t,
                                                  std::int64_t, const Planes&, Half*);

}  // namespace onnxplain::threads

// What arrives at the outputs of a node that is walked back through, on the CPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ort_ops/row_shared.hpp"

namespace onnxplain::ort {

// What arrives, in the shape of the values; it is repeated where it has axes of length 1, or fewer
// axes.
template <class T>
class Arriving {
 public:
  Arriving(const Context& context, const Value* g, const std::vector<std::int64_t>& shape,
           const char* name)
      : data_(context.elements<T>(g)) {
    const std::vector<std::int64_t> own = context.shape(g);
    if (own == shape) {
      return;
    }
    check_arriving(own, shape, name);
    const std::size_t ahead = shape.size() - own.size();
    const std::int64_t total = size_of(shape);
    expanded_.resize(static_cast<std::size_t>(total));
    for (std::int64_t place = 0; place < total; ++place) {
      std::int64_t rest = place;
      std::int64_t offset = 0;
      std::int64_t stride = 1;
      for (std::size_t k = shape.size(); k-- > ahead;) {
        offset += own[k - ahead] == 1 ? 0 : rest % shape[k] * stride;
        rest /= shape[k];
        stride *= own[k - ahead];
      }
      expanded_[static_cast<std::size_t>(place)] = data_[offset];
    }
    data_ = expanded_.data();
  }
  Arriving(const Arriving&) = delete;
  Arriving& operator=(const Arriving&) = delete;

  const T* data() const { return data_; }

 private:
  const T* data_;
  std::vector<T> expanded_;
};

}  // namespace onnxplain::ort

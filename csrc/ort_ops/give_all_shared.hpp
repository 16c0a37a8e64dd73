// What GiveAll has in common on all devices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/give_all.hpp"
#include "onnxplain/check.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {

// Axes [first, last].
struct Axes {
  std::int64_t first;
  std::int64_t last;
};

inline Axes axes_of(const Info& info, const char* name) {
  const std::vector<std::int64_t> axes = info.ints(name);
  bool fits = !axes.empty() && axes.front() >= 0;
  for (std::size_t k = 1; fits && k < axes.size(); ++k) {
    fits = axes[k] == axes[k - 1] + 1;
  }
  require(fits, std::string("GiveAll: the axes '") + name + "' do not lie one behind the other");
  return {axes.front(), axes.back()};
}

struct Places {
  std::int64_t outer = 1;
  std::int64_t row = 1;
  std::int64_t inner = 1;
};

inline Places places(const std::vector<std::int64_t>& shape, const Axes& axes) {
  const auto rank = static_cast<std::int64_t>(shape.size());
  require(axes.last < rank, "GiveAll: there are " + std::to_string(rank) +
                                " axes, and a row has axis " + std::to_string(axes.last));
  Places found;
  for (std::int64_t k = 0; k < rank; ++k) {
    (k < axes.first  ? found.outer
     : k > axes.last ? found.inner
                     : found.row) *= shape[static_cast<std::size_t>(k)];
  }
  return found;
}

template <class T>
struct GiveAll {
  static constexpr const char* kName = named<T>("GiveAll", "GiveAllFloat16");
  static constexpr ElementType kInputs[] = {kElement<T>, kElement<T>};
  static constexpr ElementType kOutput = kElement<T>;
  static constexpr std::size_t kRequiredInputs = 2;

  explicit GiveAll(const Info& info)
      : above_(axes_of(info, "above")), below_(axes_of(info, "below")) {}

  // The tensors of one run.
  struct Tensors {
    ShareRows rows;
    const T* relevance;
    const T* given;
    T* to;
  };

  // Throws where the rows of both do not fit one another.
  Tensors tensors(const Context& context) const {
    const std::vector<std::int64_t> shape = context.shape(context.input(1));
    const Places above = places(context.shape(context.input(0)), above_);
    const Places below = places(shape, below_);
    require(above.outer == below.outer && above.inner == below.inner,
            "GiveAll: relevance lies in " + std::to_string(above.outer) + " x " +
                std::to_string(above.inner) + " rows, and what inputs get in " +
                std::to_string(below.outer) + " x " + std::to_string(below.inner));
    return {{below.outer, above.row, below.row, below.inner},
            context.elements<T>(context.input(0)),
            context.elements<T>(context.input(1)),
            context.output<T>(shape)};
  }

 private:
  Axes above_;
  Axes below_;
};

}  // namespace onnxplain::ort

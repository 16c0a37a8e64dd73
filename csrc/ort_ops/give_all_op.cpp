#include "ort_ops/give_all_op.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "kernels/give_all.hpp"
#include "onnxplain/check.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {
namespace {

// Axes [first, last].
struct Axes {
  std::int64_t first;
  std::int64_t last;
};

Axes axes_of(const Info& info, const char* name) {
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

Places places(const std::vector<std::int64_t>& shape, const Axes& axes) {
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
class GiveAll {
 public:
  static constexpr const char* kName = named<T>("GiveAll", "GiveAllFloat16");
  static constexpr ElementType kInputs[] = {kElement<T>, kElement<T>};
  static constexpr ElementType kOutput = kElement<T>;
  static constexpr std::size_t kRequiredInputs = 2;

  explicit GiveAll(const Info& info)
      : above_(axes_of(info, "above")), below_(axes_of(info, "below")) {}

  void compute(const Context& context) const {
    const std::vector<std::int64_t> shape = context.shape(context.input(1));
    const Places above = places(context.shape(context.input(0)), above_);
    const Places below = places(shape, below_);
    require(above.outer == below.outer && above.inner == below.inner,
            "GiveAll: relevance lies in " + std::to_string(above.outer) + " x " +
                std::to_string(above.inner) + " rows, and what inputs get in " +
                std::to_string(below.outer) + " x " + std::to_string(below.inner));
    const ShareRows rows{below.outer, above.row, below.row, below.inner};
    const T* relevance = context.elements<T>(context.input(0));
    const T* given = context.elements<T>(context.input(1));
    T* to = context.output<T>(shape);
    if (below.outer * below.row * below.inner == 0) {
      return;
    }
    if (rows.inner > 1) {
      across(context, rows, relevance, given, to);
    } else if (std::max(rows.above, rows.below) <= cpu::kShareChunk) {
      along(context, rows, relevance, given, to);
    } else {
      in_chunks(context, rows, relevance, given, to);
    }
  }

 private:
  // Columns of some width are a task.
  static void across(const Context& context, const ShareRows& rows, const T* relevance,
                     const T* given, T* to) {
    const std::int64_t height = rows.above + rows.below;
    const std::int64_t width = std::clamp<std::int64_t>(kTask / height, 64, 4096);
    const std::int64_t strips = (rows.inner + width - 1) / width;
    over_ranges(context, rows.outer * strips, 1, [&](std::int64_t begin, std::int64_t) {
      const std::int64_t outer = begin / strips;
      const std::int64_t start = begin % strips * width;
      cpu::give_columns(rows, relevance + outer * rows.above * rows.inner,
                        given + outer * rows.below * rows.inner, start,
                        std::min(rows.inner, start + width), to + outer * rows.below * rows.inner);
    });
  }

  // Some rows are a task.
  static void along(const Context& context, const ShareRows& rows, const T* relevance,
                    const T* given, T* to) {
    over_ranges(context, rows.outer, kTask / (rows.above + rows.below),
                [&](std::int64_t begin, std::int64_t end) {
                  for (std::int64_t row = begin; row < end; ++row) {
                    const T* got = given + row * rows.below;
                    const ShareSums sums =
                        cpu::share_sums(relevance + row * rows.above, rows.above, got, rows.below);
                    cpu::give(sums, rows.below, got, rows.below, to + row * rows.below);
                  }
                });
  }

  // A part of a row is a task.
  static void in_chunks(const Context& context, const ShareRows& rows, const T* relevance,
                        const T* given, T* to) {
    constexpr std::int64_t kChunk = cpu::kShareChunk;
    const std::int64_t chunks = (std::max(rows.above, rows.below) + kChunk - 1) / kChunk;
    // [begin, end) of a chunk of a row of this size
    const auto begin_of = [](std::int64_t chunk, std::int64_t size) {
      return std::min(chunk * kChunk, size);
    };
    std::vector<ShareSums> sums(static_cast<std::size_t>(rows.outer * chunks));
    over_ranges(context, rows.outer * chunks, 1, [&](std::int64_t task, std::int64_t) {
      const std::int64_t row = task / chunks;
      const std::int64_t chunk = task % chunks;
      const std::int64_t above = begin_of(chunk, rows.above);
      const std::int64_t below = begin_of(chunk, rows.below);
      sums[static_cast<std::size_t>(task)] = cpu::share_sums(
          relevance + row * rows.above + above, begin_of(chunk + 1, rows.above) - above,
          given + row * rows.below + below, begin_of(chunk + 1, rows.below) - below);
    });
    std::vector<ShareSums> whole(static_cast<std::size_t>(rows.outer));
    for (std::size_t k = 0; k < sums.size(); ++k) {
      ShareSums& row = whole[k / static_cast<std::size_t>(chunks)];
      row.relevance += sums[k].relevance;
      row.given += sums[k].given;
      row.size += sums[k].size;
    }
    over_ranges(context, rows.outer * chunks, 1, [&](std::int64_t task, std::int64_t) {
      const std::int64_t row = task / chunks;
      const std::int64_t below = begin_of(task % chunks, rows.below);
      const std::int64_t at = row * rows.below + below;
      cpu::give(whole[static_cast<std::size_t>(row)], rows.below, given + at,
                begin_of(task % chunks + 1, rows.below) - below, to + at);
    });
  }

  Axes above_;
  Axes below_;
};

}  // namespace

const CustomOp& give_all_op() {
  static const CustomOp op = described<GiveAll<float>>();
  return op;
}

const CustomOp& give_all_float16_op() {
  static const CustomOp op = described<GiveAll<Half>>();
  return op;
}

}  // namespace onnxplain::ort

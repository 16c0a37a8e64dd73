#include "ort_ops/give_all_op.hpp"

#include <algorithm>
#include <vector>

#include "ort_ops/give_all_shared.hpp"

namespace onnxplain::ort {
namespace {

// Tasks that are enough for any number of threads.
constexpr std::int64_t kTasks = 32;

template <class T>
class OnCpu : public GiveAll<T> {
 public:
  using GiveAll<T>::GiveAll;

  void compute(const Context& context) const {
    const auto [rows, relevance, given, to] = this->tensors(context);
    if (rows.outer * rows.below * rows.inner == 0) {
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
    // Long pieces of memory, unless there are too few for several threads.
    const std::int64_t width = std::clamp<std::int64_t>(
        std::max(kTask / height, rows.outer * rows.inner / kTasks), 64, 4096);
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
    for (std::size_t k = 0; k < whole.size(); ++k) {
      whole[k] = cpu::together(sums.data() + k * static_cast<std::size_t>(chunks), chunks);
    }
    over_ranges(context, rows.outer * chunks, 1, [&](std::int64_t task, std::int64_t) {
      const std::int64_t row = task / chunks;
      const std::int64_t below = begin_of(task % chunks, rows.below);
      const std::int64_t at = row * rows.below + below;
      cpu::give(whole[static_cast<std::size_t>(row)], rows.below, given + at,
                begin_of(task % chunks + 1, rows.below) - below, to + at);
    });
  }
};

}  // namespace

const CustomOp& give_all_op() {
  static const CustomOp op = described<OnCpu<float>>();
  return op;
}

const CustomOp& give_all_float16_op() {
  static const CustomOp op = described<OnCpu<Half>>();
  return op;
}

}  // namespace onnxplain::ort

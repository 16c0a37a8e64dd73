// Sums over copies, and the shares of rows, as a GPU's threads make them (here one after the other)
// and as the CPU does: the same bits, in however many rounds.
#include <cmath>
#include <cstring>

#include "drawn.hpp"
#include "kernels/give_all_threads.hpp"
#include "kernels/lanes.hpp"
#include "kernels/sum_copies.hpp"
#include "kernels/sum_threads.hpp"

using namespace onnxplain;
using namespace drawn;

namespace {

using Shape = std::vector<std::int64_t>;

template <class T>
void fill(Memory<T>& values) {
  for (T& value : values.all) {
    value = from_float<T>(static_cast<float>(draw(2001) - 1000) / 977.0f);
  }
}

template <class T>
void same(const T* found, const T* expected, std::int64_t count, const std::string& what) {
  for (std::int64_t i = 0; i < count; ++i) {
    expect(std::memcmp(found + i, expected + i, sizeof(T)) == 0,
           what + ", element " + std::to_string(i) + ": " + std::to_string(to_float(found[i])) +
               ", not " + std::to_string(to_float(expected[i])));
  }
}

int rounds = 0;  // the most that a sum took

template <bool kSizes, class T>
void pieces(const threads::SumLaunch<T>& launch, const threads::SumTarget<T>& target) {
  const std::int64_t count = 1 + draw(70);
  const std::int64_t items = launch.cut.pieces() * launch.total;
  in_threads(count, [&](std::int64_t thread) {
    for (std::int64_t item = thread; item < items; item += count) {
      const std::int64_t piece = item / launch.total;
      const std::int64_t which = item % launch.total;
      const threads::SumOf<kSizes> sum =
          launch.along ? threads::along_piece<kSizes>(launch, cpu::Lanes{}, piece, which)
                       : threads::across_piece<kSizes>(launch, piece, which);
      target.put(piece * launch.columns() + which, sum.value);
      if (kSizes) {
        target.put(piece * launch.columns() + which + launch.total, sum.size);
      }
    }
  });
}

template <class T>
void sums(const threads::SumLaunch<T>& launch, const threads::SumTarget<T>& target) {
  std::vector<double> memory(launch.memory(), NAN);
  int taken = 1;
  const int status = threads::in_rounds(
      launch, memory.data(), target, 0,
      [](const threads::SumLaunch<T>& each, const threads::SumTarget<T>& to) {
        each.sizes ? pieces<true>(each, to) : pieces<false>(each, to);
        return 0;
      },
      [&](const double* from, std::int64_t count, std::int64_t columns,
          const threads::SumTarget<T>& to) {
        for (std::int64_t item = 0; item < parts_of(count, kFan) * columns; ++item) {
          to.put(item, threads::folded(from, count, columns, item / columns, item % columns));
        }
        ++taken;
        return 0;
      });
  expect(status == 0, "a round fails");
  rounds = std::max(rounds, taken);
}

template <class T>
void copied_of(const Shape& wide, const Shape& own) {
  const Copies found = copies(wide, own);
  if (found.none()) {
    return;
  }
  Memory<T> from(size_of(wide));
  fill(from);
  std::vector<T> expected(static_cast<std::size_t>(found.total));
  cpu::sum_copies<T>(found, from.data(), 0, found.total, expected.data());
  const std::int64_t half = found.total / 2;  // the bits do not depend on where work is cut
  std::vector<T> parts(expected.size());
  cpu::sum_copies<T>(found, from.data(), 0, half, parts.data());
  cpu::sum_copies<T>(found, from.data(), half, found.total, parts.data());
  same<T>(parts.data(), expected.data(), found.total, "sums in parts");
  if (found.total > 0) {
    std::vector<T> made(expected.size(), from_float<T>(NAN));
    const T* data = from.data();
    sums(threads::sum_launch(found, data), threads::SumTarget<T>{nullptr, made.data()});
    same<T>(made.data(), expected.data(), found.total, "sums");
  }
}

void copied(const Shape& wide, const Shape& own) {
  copied_of<float>(wide, own);
  copied_of<Half>(wide, own);
}

void drawn_copies() {
  Shape wide;
  for (std::int64_t axis = draw(6); axis > 0; --axis) {
    wide.push_back(draw(15) == 0 ? 0 : 1 + draw(9));
  }
  Shape own(wide.begin(), wide.begin() + draw(static_cast<std::int64_t>(wide.size()) + 1));
  for (std::int64_t& length : own) {
    length = draw(2) == 0 ? 1 : length;
  }
  copied(wide, own);
}

// What the operator does on the CPU.
template <class T>
void on_cpu(const ShareRows& rows, const T* relevance, const T* given, T* to) {
  constexpr std::int64_t kChunk = cpu::kShareChunk;
  for (std::int64_t row = 0; row < rows.outer; ++row) {
    const T* r = relevance + row * rows.above * rows.inner;
    const T* g = given + row * rows.below * rows.inner;
    T* made = to + row * rows.below * rows.inner;
    if (rows.inner > 1) {
      cpu::give_columns(rows, r, g, 0, rows.inner, made);
      continue;
    }
    std::vector<ShareSums> chunks;
    for (std::int64_t at = 0; at < std::max(rows.above, rows.below); at += kChunk) {
      const std::int64_t above = std::min(at, rows.above);
      const std::int64_t below = std::min(at, rows.below);
      chunks.push_back(cpu::share_sums(r + above, std::min(kChunk, rows.above - above), g + below,
                                       std::min(kChunk, rows.below - below)));
    }
    cpu::give(cpu::together(chunks.data(), static_cast<std::int64_t>(chunks.size())), rows.below, g,
              rows.below, made);
  }
}

template <class T>
void shared_of(const ShareRows& rows) {
  const std::int64_t count = rows.outer * rows.inner;
  const std::int64_t total = count * rows.below;
  Memory<T> relevance(count * rows.above);
  Memory<T> given(total);
  Memory<T> found(total);
  fill(relevance);
  fill(given);
  for (std::int64_t i = 0; i < total / 2; ++i) {  // some rows got nothing
    given.data()[i] = T{};
  }
  std::vector<T> expected(static_cast<std::size_t>(total));
  const T* arrived = relevance.data();
  const T* got = given.data();
  on_cpu(rows, arrived, got, expected.data());
  const threads::GiveLaunch<T> launch{rows, arrived, got, found.data()};
  if (launch.is_short()) {
    for (std::int64_t row = 0; row < count; ++row) {
      threads::ShortLaunch<T>{launch, count}.run_row(cpu::Lanes{}, row);
    }
    same<T>(found.data(), expected.data(), total, "short rows");
  }
  const auto size = static_cast<std::size_t>(count);
  std::vector<double> totals(3 * size, NAN);
  sums(threads::sums_of(arrived, rows, rows.above, false),
       threads::SumTarget<T>{totals.data(), nullptr});
  sums(threads::sums_of(got, rows, rows.below, true),
       threads::SumTarget<T>{totals.data() + size, nullptr});
  std::vector<Share> shares(size);
  const threads::SharesLaunch all{totals.data(), rows.below, shares.data(), count};
  for (std::int64_t at = 0; at < count; at += threads::kWidth) {
    all.run<std::uint32_t, threads::kWidth>(
        at, static_cast<int>(std::min<std::int64_t>(count - at, threads::kWidth)));
  }
  std::fill(found.all.begin(), found.all.end(), from_float<T>(NAN));
  const threads::SharedLaunch<T> last = threads::shared_launch(launch, shares.data());
  constexpr int kWidth = threads::kWidth;
  for (std::int64_t at = 0; at < total; at += kWidth) {
    const int number = static_cast<int>(std::min<std::int64_t>(total - at, kWidth));
    draw(2) == 0 ? last.template run<std::uint32_t, kWidth>(at, number)
                 : last.template run<std::uint64_t, kWidth>(at, number);
  }
  same<T>(found.data(), expected.data(), total, "rows");
}

void shared(const ShareRows& rows) {
  shared_of<float>(rows);
  shared_of<Half>(rows);
}

}  // namespace

int main() {
  for (int round = 0; round < 300; ++round) {
    drawn_copies();
    shared({1 + draw(5), draw(40), 1 + draw(40), 1 + draw(4)});
  }
  copied({kPiece * kFan + 1}, {1});
  copied({3, 2, 2 * kPiece + 5}, {1, 2, 1});
  copied({kPiece * kFan * 2 + 3, 2}, {1, 2});
  copied({kFan + 1, 3}, {1, 3});
  copied({kFan, 3}, {1, 3});
  copied({kFan * kFan * kFan + 1, 2}, {1, 2});
  copied({200, 3, 7}, {1, 3, 1});
  copied({3, 200, 5, 7}, {3, 1, 5, 1});
  for (const std::int64_t inner : {1, 3}) {
    shared({2, kPiece, kPiece + 1, inner});
    shared({2, threads::kShortRow, threads::kShortRow, inner});
    shared({2, 10, threads::kShortRow + 1, inner});
    shared({1, cpu::kShareChunk + 1, 7, inner});
    shared({2, 7, 2 * cpu::kShareChunk + 5, inner});
  }
  expect(rounds == 4, "sums in several rounds");
  std::puts("the same");
}

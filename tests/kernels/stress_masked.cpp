// Runs the kernels of masked batches, with numbers held against plain loops.
#include <cmath>

#include "kernels/masked_batches.hpp"
#include "kernels/moments.hpp"
#include "stress.hpp"

namespace onnxplain {
namespace {

template <class Word>
void choose(Random& random, Size size) {
  const auto [rows, cols, steps] = size;
  std::vector<Word> x(static_cast<std::size_t>(rows * cols), Word{1});
  std::vector<Word> instead(static_cast<std::size_t>(steps * cols), Word{2});
  std::vector<std::int64_t> ids(static_cast<std::size_t>(cols));
  for (std::int64_t& id : ids) {
    id = below(random, 4) - 1;
  }
  std::vector<std::uint8_t> kept(static_cast<std::size_t>(steps * 3));
  for (std::uint8_t& stays : kept) {
    stays = static_cast<std::uint8_t>(below(random, 2));
  }
  std::vector<Word> out(static_cast<std::size_t>(steps * rows * cols));
  cpu::choose(Choose<Word>{seen(x, rows, cols),
                           {instead.data(), {steps, rows, cols}, {cols, 0, 1}},
                           broadcast_rows(seen(ids, 1, cols), rows),
                           {kept.data(), {steps, rows, 3}, {3, 0, 1}},
                           matrix_view(out.data(), steps * rows, cols)});
  for (std::int64_t i = 0; i < steps * rows * cols; ++i) {
    const std::int64_t id = ids[static_cast<std::size_t>(i % cols)];
    const bool here = id < 0 || kept[static_cast<std::size_t>(i / cols / rows * 3 + id)] != 0;
    expect(out[static_cast<std::size_t>(i)] == (here ? 1 : 2), "choose");
  }
}

void boxes(Random& random, Size size) {
  const auto [rows, cols, steps] = size;
  const std::vector<std::int64_t> shape{2, cols}, window{1, 3};
  std::vector<std::int64_t> starts(static_cast<std::size_t>(steps * 2));
  for (std::int64_t& start : starts) {
    start = below(random, cols + 3) - 2;
  }
  const Boxes own{seen(starts, steps, 2), seen(window), seen(shape)};
  const std::vector<std::uint8_t> x(static_cast<std::size_t>(rows * 2 * cols), 0);
  const std::vector<std::uint8_t> instead(x.size(), 1);
  std::vector<std::uint8_t> out(x.size() * static_cast<std::size_t>(steps));
  cpu::cover(Cover<std::uint8_t>{seen(x, rows, 2 * cols), seen(instead, rows, 2 * cols), own,
                                 matrix_view(out.data(), steps * rows, 2 * cols)});
  std::vector<double> total(x.size()), expected(x.size());
  const std::vector<double> lost(static_cast<std::size_t>(steps * rows), 1.0);
  cpu::sum_boxes(SumBoxes{matrix_view(total.data(), rows, 2 * cols), seen(lost, steps, rows), own});
  for (std::size_t i = 0; i < out.size(); ++i) {
    expected[i % x.size()] += out[i];
  }
  expect(total == expected, "boxes");
}

void masks(Random& random, Size size) {
  const auto [rows, cols, steps] = size;
  const std::vector<std::int64_t> left{0, 0, 1, 1}, shift(static_cast<std::size_t>(steps), 1);
  const std::vector<float> first{1, 1, 1, 1}, second{0, 0, 0, 0};
  const auto cells = normals<float>(random, steps * 2 * cols);
  std::vector<float> drawn(static_cast<std::size_t>(steps * 3 * cols), NAN);
  cpu::stretch(Stretch{{cells.data(), {steps, 1, 2, cols}, {2 * cols, 2 * cols, cols, 1}},
                       seen(left),
                       seen(first),
                       seen(second),
                       seen(shift),
                       {drawn.data(), {steps, 1, 3, cols}, {3 * cols, 3 * cols, cols, 1}}});
  const auto x = normals<float>(random, rows * 6 * cols);
  const std::vector<float> zeros(x.size(), 0.0F);
  std::vector<float> out(static_cast<std::size_t>(steps * rows * 6 * cols), NAN);
  cpu::fade(Fade<float>{seen(x, rows, 6 * cols),
                        seen(zeros, rows, 6 * cols),
                        {drawn.data(), {steps, rows, 3 * cols}, {3 * cols, 0, 1}},
                        2,
                        matrix_view(out.data(), steps * rows, 6 * cols)});
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t row = i / static_cast<std::size_t>(rows * 6 * cols);
    const std::size_t d = i % static_cast<std::size_t>(6 * cols) / 2;
    const float mask = drawn[row * static_cast<std::size_t>(3 * cols) + d];
    expect(out[i] == (mask == 1.0F ? x[i % x.size()] : mask * x[i % x.size()] + 0.0F), "fade");
  }
  std::vector<double> linear(static_cast<std::size_t>((1 + rows) * 3 * cols)),
      square(static_cast<std::size_t>((1 + 2 * rows) * 3 * cols)), expected(linear.size());
  const std::vector<double> scores(static_cast<std::size_t>(steps * rows), 1.0);
  cpu::sum_masks(SumMasks{matrix_view(linear.data(), 1 + rows, 3 * cols),
                          matrix_view(square.data(), 1 + 2 * rows, 3 * cols),
                          seen(drawn, steps, 3 * cols), seen(scores, steps, rows), 0.5});
  for (std::int64_t s = 0; s < steps; ++s) {
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const std::size_t d = i % static_cast<std::size_t>(3 * cols);
      expected[i] += drawn[static_cast<std::size_t>(s * 3 * cols) + d] - 0.5;
    }
  }
  expect(linear == expected, "sum_masks");
}

void drawn(Random& random, Size size) {
  const auto [rows, cols, steps] = size;
  std::vector<float> cells(static_cast<std::size_t>(steps * cols), NAN);
  std::vector<std::int64_t> shifts(static_cast<std::size_t>(2 * steps), -1);
  const std::vector<std::int64_t> lengths{1, 5};
  cpu::draw_cells(DrawCells<float>{matrix_view(cells.data(), steps, cols),
                                   matrix_view(shifts.data(), 2, steps), seen(lengths), 7, 1,
                                   static_cast<std::uint64_t>(below(random, 1 << 30)), 0.5});
  double kept = 0;
  for (const float cell : cells) {
    expect(cell == 0.0F || cell == 1.0F, "draw_cells");
    kept += static_cast<double>(cell);
  }
  for (std::size_t s = 0; s < static_cast<std::size_t>(steps); ++s) {
    const std::int64_t far = shifts[static_cast<std::size_t>(steps) + s];
    expect(shifts[s] == 0 && far >= 0 && far < 5, "draw_cells: shifts");
  }
  const std::vector<double> zeros(static_cast<std::size_t>(cols));
  std::vector<double> sums(static_cast<std::size_t>(3 * cols));
  cpu::add_powers(AddPowers<float>{matrix_view(sums.data(), 3, cols), seen(zeros),
                                   seen(cells, steps, cols), rows % 2 == 0});
  double total = 0;
  for (const double sum : sums) {
    total += sum;
  }
  expect(total == 3 * kept, "add_powers");
}

}  // namespace

void masked(Random& random, Size size) {
  choose<std::uint8_t>(random, size);
  choose<std::uint64_t>(random, size);
  boxes(random, size);
  masks(random, size);
  drawn(random, size);
}

}  // namespace onnxplain

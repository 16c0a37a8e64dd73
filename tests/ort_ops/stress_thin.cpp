// Random transposed convolutions to few channels, in memory of exactly their size, for the
// sanitizers: against sums that are made tap by tap, with rows in two ranges.
#include <cmath>

#include "drawn.hpp"
#include "kernels/thin_transposed_conv.hpp"

using namespace onnxplain;
using namespace drawn;

namespace {

ThinAxis random_axis(std::int64_t longest) {
  ThinAxis axis{1 + draw(8), 1 + draw(4), 0, 1 + draw(longest), 0};
  const std::int64_t whole = (axis.from - 1) * axis.stride + axis.kernel + draw(axis.stride);
  do {
    axis.begin = draw(axis.kernel + 1);
    axis.to = whole - axis.begin - draw(axis.kernel + 1);
  } while (axis.to < 1);
  return axis;
}

std::vector<float> random_numbers(std::int64_t size) {
  std::vector<float> made;
  for (std::int64_t k = 0; k < size; ++k) {
    made.push_back(static_cast<float>(draw(200) - 100) / 64.0f);
  }
  return made;
}

void one(std::int64_t longest) {
  const ThinConv conv{1 + draw(9), 1 + draw(kThinChannels), random_axis(longest),
                      random_axis(longest)};
  const ThinAxis& down = conv.down;
  const ThinAxis& across = conv.across;
  const auto weight = random_numbers(conv.channels * conv.few * down.kernel * across.kernel);
  const auto g = random_numbers(conv.channels * down.from * across.from);
  std::vector<double> expected(static_cast<std::size_t>(conv.few * down.to * across.to));
  for (std::int64_t m = 0; m < conv.channels; ++m) {
    for (std::int64_t h = 0; h < down.from; ++h) {
      for (std::int64_t w = 0; w < across.from; ++w) {
        for (std::int64_t k = 0; k < conv.few * down.kernel * across.kernel; ++k) {
          const std::int64_t c = k / (down.kernel * across.kernel);
          const std::int64_t row = h * down.stride + k / across.kernel % down.kernel - down.begin;
          const std::int64_t column = w * across.stride + k % across.kernel - across.begin;
          if (row >= 0 && row < down.to && column >= 0 && column < across.to) {
            const auto tap = m * conv.few * down.kernel * across.kernel + k;
            expected[static_cast<std::size_t>((c * down.to + row) * across.to + column)] +=
                g[static_cast<std::size_t>((m * down.from + h) * across.from + w)] *
                weight[static_cast<std::size_t>(tap)];
          }
        }
      }
    }
  }
  std::vector<float> made(expected.size(), NAN);
  std::vector<float> scratch;
  const std::vector<float> laid = cpu::thin_weight(conv, weight.data());
  const std::int64_t middle = draw(down.to);
  cpu::thin_rows(conv, laid, g.data(), made.data(), middle, down.to, scratch);
  if (middle > 0) {
    cpu::thin_rows(conv, laid, g.data(), made.data(), 0, middle, scratch);
  }
  for (std::size_t k = 0; k < made.size(); ++k) {
    expect(std::fabs(made[k] - expected[k]) < 1e-3, "place " + std::to_string(k));
  }
}

}  // namespace

int main() {
  for (int round = 0; round < 150; ++round) {
    one(round < 120 ? 9 : 40);
  }
  std::puts("clean");
}

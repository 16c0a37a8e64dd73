// Random convolutions by Winograd's algorithm, in memory of exactly their size, for the sanitizers:
// against plain sums, in two ranges of tiles and two of channels.
#include <cmath>

#include "drawn.hpp"
#include "kernels/winograd.hpp"

using namespace onnxplain;
using namespace drawn;

namespace {

std::vector<float> random_numbers(std::int64_t size) {
  std::vector<float> made;
  for (std::int64_t k = 0; k < size; ++k) {
    made.push_back(static_cast<float>(draw(200) - 100) / 64.0f);
  }
  return made;
}

std::int64_t place(std::int64_t channels, std::int64_t rows, std::int64_t columns,
                   std::int64_t block, std::int64_t n, std::int64_t c, std::int64_t h,
                   std::int64_t w) {
  return (((n * channels + c) / block * rows + h) * columns + w) * block + c % block;
}

void one(std::int64_t longest) {
  const std::int64_t samples = 1 + draw(3);
  const std::int64_t rows = 1 + draw(longest);
  const std::int64_t columns = 1 + draw(longest);
  const std::int64_t ends[] = {draw(3), draw(3)};
  WinogradConv conv{16 * (1 + draw(3)), 16 * (1 + draw(6)), {draw(3), draw(3)}, {0, 0}};
  conv.to[0] = rows + conv.begin[0] + ends[0] - 2;
  conv.to[1] = columns + conv.begin[1] + ends[1] - 2;
  if (conv.to[0] < 1 || conv.to[1] < 1) {
    return;
  }
  const std::int64_t blocks[] = {1, 4, 8, 16};
  const std::int64_t block = blocks[draw(4)];
  const std::int64_t block_to = blocks[draw(4)];
  const std::int64_t channels = conv.channels;
  const auto from = random_numbers(samples * channels * rows * columns);
  const auto kernel = random_numbers(conv.made * channels * 9);
  std::vector<float> laid(kernel.size());
  for (std::int64_t o = 0; o < conv.made; ++o) {
    for (std::int64_t k = 0; k < channels * 9; ++k) {
      laid[static_cast<std::size_t>((o / 16 * channels * 9 + k) * 16 + o % 16)] =
          kernel[static_cast<std::size_t>(o * channels * 9 + k)];
    }
  }
  std::vector<float> made(static_cast<std::size_t>(samples * conv.made * conv.to[0] * conv.to[1]),
                          NAN);
  const cpu::WinogradData data{from.data(), rows,        columns, block,
                               laid.data(), made.data(), block_to};
  const std::int64_t total = samples * conv.tiles(0);
  const std::int64_t middle = draw(total);
  const std::int64_t half = draw(conv.made / 16 + 1) * 16;
  const std::int64_t most = std::max(middle, total - middle);
  std::vector<float> scratch(static_cast<std::size_t>(cpu::winograd_scratch(conv, columns, most)));
  for (const auto& [first, last] : {std::pair{std::int64_t{0}, half}, std::pair{half, conv.made}}) {
    cpu::winograd_rows(conv, data, middle, total, first, last, scratch.data());
    cpu::winograd_rows(conv, data, 0, middle, first, last, scratch.data());
  }
  for (std::int64_t k = 0; k < samples * conv.made * conv.to[0] * conv.to[1]; ++k) {
    const std::int64_t w = k % conv.to[1];
    const std::int64_t h = k / conv.to[1] % conv.to[0];
    const std::int64_t o = k / conv.to[1] / conv.to[0] % conv.made;
    const std::int64_t n = k / conv.to[1] / conv.to[0] / conv.made;
    double sum = 0;
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t tap = 0; tap < 9; ++tap) {
        const std::int64_t row = h + tap / 3 - conv.begin[0];
        const std::int64_t column = w + tap % 3 - conv.begin[1];
        if (row >= 0 && row < rows && column >= 0 && column < columns) {
          const auto at = place(channels, rows, columns, block, n, c, row, column);
          sum +=
              static_cast<double>(from[static_cast<std::size_t>(at)]) *
              static_cast<double>(kernel[static_cast<std::size_t>((o * channels + c) * 9 + tap)]);
        }
      }
    }
    const auto at = place(conv.made, conv.to[0], conv.to[1], block_to, n, o, h, w);
    expect(std::fabs(made[static_cast<std::size_t>(at)] - sum) < 1e-3, "a place");
  }
}

}  // namespace

int main() {
  for (int round = 0; round < 60; ++round) {
    one(round < 50 ? 7 : 23);
  }
  std::puts("clean");
}

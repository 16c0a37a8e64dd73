// Runs the kernels over planes, with and without blocks, for the sanitizers: sizes down to one,
// parts that reach beyond the result, and windows that reach beyond the input.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels/interleave.hpp"
#include "kernels/max_pool_grad.hpp"
#include "kernels/sparse_conv_transpose.hpp"
#include "kernels/surround.hpp"

using namespace onnxplain;

namespace {

std::vector<float> filled(std::int64_t size) {
  std::vector<float> made(static_cast<std::size_t>(size));
  for (std::size_t k = 0; k < made.size(); ++k) {
    made[k] = static_cast<float>(k * 7 % 5);
  }
  return made;
}

double sum(const std::vector<float>& values) {
  double total = 0.0;
  for (const float value : values) {
    total += value;
  }
  return total;
}

void expect(bool right, const char* what) {
  if (!right) {
    std::fprintf(stderr, "wrong: %s\n", what);
    std::exit(1);
  }
}

// Whole planes under one window each give all of g to one place each.
void pools(std::int64_t block, std::int64_t count, std::int64_t side) {
  const Planes in{count, side, side, block};
  const Planes out{count, 1, 1, block};
  const WindowAxis axis{side + 2, 1, 1, 1};
  const std::vector<float> x = filled(count * in.size());
  const std::vector<float> g = filled(count * out.size());
  const std::vector<float> y(g.size(), side == 1 ? -1.0f : 4.0f);
  std::vector<float> dx(x.size(), -1.0f);
  const std::int64_t together = block == 1 ? cpu::planes_together(axis, in, out) : 1;
  cpu::PoolScratch scratch(axis, axis, in, out, together);
  for (std::int64_t k = 0; k < count; k += together) {
    cpu::max_pool_grad(axis, axis, in, out, x.data() + k * in.size(), y.data() + k * out.size(),
                       g.data() + k * out.size(), dx.data() + k * in.size(),
                       std::min(together, count - k), scratch);
  }
  // A maximum that is nowhere gives nothing.
  expect(sum(dx) == (side == 1 ? 0.0 : sum(g)), "pools");
}

void parts(std::int64_t block, std::int64_t height, std::int64_t width) {
  const Planes result{3, height, width, block};
  std::vector<std::vector<float>> held;
  std::vector<Part> all;
  for (std::int64_t row = 0; row < 2; ++row) {
    for (std::int64_t column = 0; column < 3; ++column) {
      held.push_back(filled(3 * (height + 1) * (width + 2) * block));
      all.push_back({nullptr, height + 1, width + 2, row, column});
    }
  }
  for (std::size_t k = 0; k < all.size(); ++k) {
    all[k].data = held[k].data();
  }
  check_parts(all, 2, 3);
  std::vector<float> out(static_cast<std::size_t>(3 * result.size()), -1.0f);
  for (std::int64_t k = 0; k < result.count; ++k) {
    cpu::interleave(all, 2, 3, result, k, out.data());
  }
  for (const float value : out) {
    expect(value >= 0.0f, "all places are written");
  }
}

// Windows that do not touch one another give all that lies in whole ones.
template <class T>
void windows_apart(std::int64_t block, std::int64_t side, std::int64_t together) {
  const Planes in{2, side, side, block};
  const Planes out{2, (side + 1) / 2, (side + 1) / 2, block};
  const WindowAxis axis{2, 2, 1, 0};
  const std::vector<T> x(static_cast<std::size_t>(2 * in.size()), from_float<T>(1.0f));
  const std::vector<T> y(static_cast<std::size_t>(2 * out.size()), from_float<T>(1.0f));
  std::vector<T> dx(x.size(), from_float<T>(-1.0f));
  cpu::PoolScratch scratch(axis, axis, in, out, together, sizeof(T) == 2);
  for (std::int64_t k = 0; k < 2; k += together) {
    cpu::max_pool_grad(axis, axis, in, out, x.data() + k * in.size(), y.data() + k * out.size(),
                       y.data() + k * out.size(), dx.data() + k * in.size(),
                       std::min<std::int64_t>(together, 2), scratch);
  }
  double total = 0.0;
  for (const T value : dx) {
    total += to_float(value);
  }
  expect(total == static_cast<double>(2 * out.size()), "windows apart");
}

// All weights are one, and so is what is given: each place gives a whole kernel, cut at the edges.
void sparse(std::int64_t channels, std::int64_t block, std::int64_t side) {
  const std::int64_t given = 20;
  const SparseConvTranspose conv{channels, {3, 5}, {1, 2}, {0, 0}, {0, -1}};
  check(conv);
  const std::int64_t height = conv.length(side, 0);
  const std::int64_t width = conv.length(side, 1);
  const std::vector<float> g(static_cast<std::size_t>(given * side * side), 1.0f);
  const std::vector<float> weight(static_cast<std::size_t>(given * conv.row()), 1.0f);
  std::vector<float> made(static_cast<std::size_t>(channels * height * width), -1.0f);
  for (const std::int64_t lies : {1, 4, 20}) {
    const cpu::Sample<const float> from{g.data(), given, side, side, lies};
    const cpu::Sample<float> to{made.data(), channels, height, width, block};
    cpu::SparseScratch scratch(conv, from, width, 2);
    for (std::int64_t group = 0; group < conv.groups(); ++group) {
      for (std::int64_t first = 0; first < height; first += 2) {
        cpu::sparse_conv_transpose(conv, from, weight.data(), group, first,
                                   std::min(first + 2, height), to, scratch);
      }
    }
    expect(sum(made) == static_cast<double>(channels * given * side * side * 15), "sparse");
  }
}

// Patches and results that lie in, across and far beyond the ends of the whole.
void patches(std::int64_t samples, std::int64_t side) {
  constexpr std::int64_t kFar = std::int64_t{1} << 62;
  const std::vector<std::int64_t> patch = {2 * samples, 3, side, 2};
  const std::vector<std::int64_t> whole = {samples, 3, 2 * side, side + 1};
  for (const std::int64_t begin : {-kFar, -side, std::int64_t{-1}, std::int64_t{0}, side, kFar}) {
    for (const std::int64_t place : {-kFar, std::int64_t{-1}, std::int64_t{0}, side, kFar}) {
      const std::vector<std::int64_t> places = {2 * samples, 2};
      const Surroundings all = surroundings(patch, whole, places, places, {side + 2, 3});
      const std::vector<std::int64_t> at(static_cast<std::size_t>(4 * samples), place);
      const std::vector<std::int64_t> from(static_cast<std::size_t>(4 * samples), begin);
      std::vector<float> out(static_cast<std::size_t>(all.planes() * all.size()), -1.0f);
      cpu::surround(all, filled(2 * samples * 3 * side * 2).data(),
                    filled(samples * 3 * 2 * side * (side + 1)).data(), at.data(), from.data(),
                    9.0f, 0, all.planes(), out.data());
      for (const float value : out) {
        expect(value >= 0.0f, "all places around patches are written");
      }
    }
  }
}

}  // namespace

int main() {
  for (const std::int64_t samples : {0, 1, 3}) {
    patches(samples, 1);
    patches(samples, 7);
  }
  for (const std::int64_t block : {1, 4, 8, 16}) {
    for (const std::int64_t side : {1, 3, 9}) {
      for (const std::int64_t count : {0, 1, 3, 16, 35}) {
        pools(block, count, side);
      }
      parts(block, side, 2 * side);
      windows_apart<float>(block, side, 1);
      sparse(3 * block, block, side);
    }
  }
  for (const std::int64_t side : {1, 3, 9, 61, 97, 600}) {
    windows_apart<float>(1, side, 1);
    windows_apart<float>(1, side, 4);
    windows_apart<Half>(1, side, 1);
    windows_apart<Half>(1, side, 4);
  }
  pools(1, 3, 300);
  pools(1, 1, 1100);
  std::puts("clean");
}

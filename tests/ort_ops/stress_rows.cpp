// Runs the kernels over rows and over copies from several threads, cut in ranges of all sizes, for
// the sanitizers.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "kernels/gelu_backward.hpp"
#include "kernels/give_all.hpp"
#include "kernels/row_backward.hpp"
#include "kernels/sum_copies.hpp"

using namespace onnxplain;

namespace {

std::vector<float> filled(std::int64_t size, float start) {
  std::vector<float> made(static_cast<std::size_t>(size));
  for (std::size_t k = 0; k < made.size(); ++k) {
    made[k] = start + static_cast<float>(k % 97) / 97.0f;
  }
  return made;
}

void expect(bool right, const char* what) {
  if (!right) {
    std::fprintf(stderr, "wrong: %s\n", what);
    std::exit(1);
  }
}

// Runs body(begin, end) whole, and in parts on threads; both must write the same.
template <class Body>
void in_parts(std::int64_t total, std::size_t size, const char* what, const Body& body) {
  std::vector<float> whole(size, NAN);
  std::vector<float> parts(size, NAN);
  body(std::int64_t{0}, total, whole.data());
  std::vector<std::thread> threads;
  for (std::int64_t begin = 0, count = 1; begin < total; begin += count, count = count * 2 + 1) {
    const std::int64_t end = begin + count < total ? begin + count : total;
    threads.emplace_back([&, begin, end] { body(begin, end, parts.data()); });
    count = end - begin;
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (std::size_t k = 0; k < size; ++k) {
    expect(whole[k] == parts[k], what);
  }
}

}  // namespace

int main() {
  for (const std::int64_t rows : {0, 1, 7, 33}) {
    for (const std::int64_t size : {1, 15, 16, 17, 200}) {
      const std::vector<float> x = filled(rows * size, 1.0f);
      const std::vector<float> g = filled(rows * size, -0.5f);
      const std::vector<float> scale = filled(size, 2.0f);
      in_parts(rows, x.size(), "softmax", [&](std::int64_t begin, std::int64_t end, float* to) {
        cpu::softmax_backward(x.data(), g.data(), size, begin, end, to);
      });
      for (const float* each : {scale.data(), static_cast<const float*>(nullptr)}) {
        in_parts(rows, x.size(), "norm", [&](std::int64_t begin, std::int64_t end, float* to) {
          cpu::norm_backward({each != nullptr, size > 16, 1e-5f}, x.data(), g.data(), each, size,
                             begin, end, to);
        });
      }
    }
  }
  const std::vector<std::int64_t> wide = {3, 5, 1, 70, 11};
  const std::vector<float> from = filled(3 * 5 * 70 * 11, 0.0f);
  for (int mask = 0; mask < 32; ++mask) {
    std::vector<std::int64_t> own = wide;
    for (std::size_t k = 0; k < own.size(); ++k) {
      own[k] = (mask >> k & 1) != 0 ? 1 : own[k];
    }
    const Copies found = copies(wide, own);
    in_parts(found.total, static_cast<std::size_t>(found.total), "sum",
             [&](std::int64_t begin, std::int64_t end, float* to) {
               cpu::sum_copies(found, from.data(), begin, end, to);
             });
  }
  for (const std::int64_t inner : {1, 2, 300}) {
    const ShareRows rows{1, 13, 37, inner};
    const std::vector<float> r = filled(13 * inner, 0.0f);
    const std::vector<float> g = filled(37 * inner, -0.5f);
    in_parts(inner, g.size(), "columns", [&](std::int64_t begin, std::int64_t end, float* to) {
      cpu::give_columns(rows, r.data(), g.data(), begin, end, to);
    });
  }
  const std::vector<float> extreme = {0.0f, 1.0f, -20.0f, 1e30f, INFINITY, -INFINITY, NAN};
  in_parts(2, 2, "gelu", [&](std::int64_t begin, std::int64_t end, float* to) {
    std::vector<float> made(extreme.size());
    for (const bool by_tanh : {true, false}) {
      cpu::gelu_backward(2.0f, by_tanh, extreme.data(), extreme.data(), 7, made.data());
    }
    for (std::int64_t k = begin; k < end; ++k) {
      to[k] = made[static_cast<std::size_t>(k)];
    }
  });
  const std::vector<float> r = filled(37, 0.0f);
  const std::vector<float> g = filled(50, -0.5f);
  const ShareSums sums = cpu::share_sums(r.data(), 37, g.data(), 50);
  in_parts(50, 50, "row", [&](std::int64_t begin, std::int64_t end, float* to) {
    cpu::give(sums, 50, g.data() + begin, end - begin, to + begin);
  });
  std::puts("clean");
}

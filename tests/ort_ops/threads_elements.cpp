// Walks back through Gelu and max pooling, and parts put together, as a GPU's threads make them
// (here one after the other) and as the CPU does: the same bits, whatever the shapes and alignment.
#include <cmath>
#include <cstring>
#include <type_traits>

#include "drawn.hpp"
#include "kernels/gelu_backward.hpp"
#include "kernels/gelu_threads.hpp"
#include "kernels/interleave_threads.hpp"
#include "kernels/max_pool_threads.hpp"
#include "kernels/surround_threads.hpp"

using namespace onnxplain;
using namespace drawn;

namespace {

using Shape = std::vector<std::int64_t>;

template <class Index, int Width, class Launch>
void run(const Launch& launch) {
  const std::int64_t count = 1 + draw(70);
  in_threads(count, [&](std::int64_t thread) {
    for (std::int64_t pack = thread; pack * Width < launch.total; pack += count) {
      const std::int64_t rest = launch.total - pack * Width;
      launch.template run<Index, Width>(pack * Width,
                                        static_cast<int>(std::min<std::int64_t>(rest, Width)));
    }
  });
}

// `make(out)` is the launch that writes there.
template <class T, class Make>
void compare(const std::vector<T>& expected, const std::string& what, const Make& make) {
  for (int variant = 0; variant < 4; ++variant) {
    Memory<T> found(static_cast<std::int64_t>(expected.size()));
    std::fill(found.all.begin(), found.all.end(), from_float<T>(-1234.5f));
    const auto launch = make(found.data());
    switch (variant) {
      case 0:
        expect(launch.is_small(), "what is small counts in 32 bits");
        run<std::uint32_t, threads::kWidth>(launch);
        break;
      case 1:
        run<std::uint64_t, threads::kWidth>(launch);
        break;
      case 2:
        run<std::uint32_t, 1>(launch);
        break;
      default:
        run<std::uint64_t, 1>(launch);
    }
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const float a = to_float(found.data()[i]);
      const float b = to_float(expected[i]);
      expect((a != a && b != b) || std::memcmp(found.data() + i, &expected[i], sizeof(T)) == 0,
             what + ", element " + std::to_string(i) + ": " + std::to_string(a) + ", not " +
                 std::to_string(b));
    }
  }
}

// Numbers of which many are alike, and few are not finite.
template <class T>
void fill(Memory<T>& values, std::int64_t kinds) {
  for (T& value : values.all) {
    value = from_float<T>(static_cast<float>(draw(kinds)) - static_cast<float>(kinds / 2));
    if (draw(200) == 0) {
      const float special[] = {INFINITY, -INFINITY, NAN, -0.0f, 6e-8f};
      value = from_float<T>(special[draw(5)]);
    }
  }
}

template <class T>
void gelu() {
  Shape full;
  for (std::int64_t axis = draw(5); axis > 0; --axis) {
    full.push_back(draw(12) == 0 ? 0 : 1 + draw(9));
  }
  Shape own(full.begin() + draw(static_cast<std::int64_t>(full.size()) + 1), full.end());
  for (std::int64_t& length : own) {
    length = draw(3) == 0 ? 1 : length;
  }
  const std::int64_t total = size_of(full);
  Memory<T> x(total);
  Memory<T> g(size_of(own));
  fill(x, 41);
  fill(g, 41);
  const Operand<T> arriving = operand<T>(g.data(), own, full);
  std::vector<T> all(static_cast<std::size_t>(total));
  for (std::int64_t i = 0; i < total; ++i) {
    std::uint64_t within = 0;
    const bool repeated = !arriving.strides.empty() && arriving.strides.back() == 0;
    all[static_cast<std::size_t>(i)] =
        arriving.lengths.empty()
            ? g.data()[i]
            : g.data()[threads::offset_of<std::uint64_t>(
                  arriving.lengths.data(), static_cast<int>(arriving.lengths.size()), repeated,
                  static_cast<std::uint64_t>(i), within)];
  }
  std::vector<T> expected(all.size());
  const bool by_tanh = draw(2) == 0;
  cpu::gelu_backward(1.5f, by_tanh, x.data(), all.data(), total, expected.data());
  compare(expected, "gelu", [&](T* out) {
    threads::GeluLaunch<T> launch{};
    launch.x = {x.data(), 0, 0, false, threads::is_aligned<T>(x.data())};
    launch.g = threads::input(arriving, launch.length, 0);
    launch.factor = 1.5f;
    launch.by_tanh = by_tanh;
    launch.out = out;
    launch.aligned = threads::is_aligned<T>(out);
    launch.total = total;
    return launch;
  });
}

WindowAxis window() {
  const std::int64_t kernel = 1 + draw(4);
  return {kernel, 1 + draw(4), draw(3) == 0 ? 1 + draw(3) : 1, draw(kernel)};
}

template <class T>
void pool() {
  constexpr bool kIsHalf = std::is_same_v<T, Half>;  // of which there are no blocks
  const std::int64_t blocks[] = {1, 1, 1, 4, 8, 16};
  const std::int64_t block = kIsHalf ? 1 : blocks[draw(6)];
  const WindowAxis down = window();
  const WindowAxis across = window();
  const std::int64_t wide = block == 1 && draw(2) == 0 ? 70 : 5;  // vectors have windows, or planes
  const Planes in{draw(5), 1 + draw(9), 1 + draw(2 * wide), block};
  const Planes out{in.count, 1 + draw(5), 1 + draw(wide), block};
  const std::int64_t total = in.count * in.size();
  const std::int64_t pooled = out.count * out.size();
  Memory<T> x(total);
  Memory<T> y(pooled);
  Memory<T> g(pooled);
  fill(x, draw(2) == 0 ? 3 : 1000);
  fill(g, 1000);
  for (std::int64_t i = 0; i < pooled; ++i) {  // the maxima, but for some that are nowhere
    const std::int64_t l = i % block;
    const std::int64_t column = i / block % out.width;
    const std::int64_t row = i / block / out.width % out.height;
    const T* plane = x.data() + i / out.size() * in.size() + l;
    float most = draw(30) == 0 ? 0.25f : -INFINITY;
    for (std::int64_t a = 0; a < down.kernel * across.kernel; ++a) {
      const std::int64_t h = row * down.stride - down.begin + a / across.kernel * down.dilation;
      const std::int64_t w =
          column * across.stride - across.begin + a % across.kernel * across.dilation;
      if (h >= 0 && h < in.height && w >= 0 && w < in.width) {
        most = std::max(most, to_float(plane[(h * in.width + w) * block]));
      }
    }
    y.data()[i] = from_float<T>(most);
  }
  std::vector<T> expected(static_cast<std::size_t>(total));
  const std::int64_t together = block == 1 ? draw(2) * 3 + 1 : 1;
  cpu::PoolScratch scratch(down, across, in, out, together, kIsHalf);
  for (std::int64_t k = 0; k < in.count; k += together) {
    cpu::max_pool_grad<T>(down, across, in, out, x.data() + k * in.size(),
                          y.data() + k * out.size(), g.data() + k * out.size(),
                          expected.data() + k * in.size(), std::min(together, in.count - k),
                          scratch);
  }
  compare(expected, "pool", [&](T* to) {
    const bool aligned = threads::is_aligned<T>(x.data()) && threads::is_aligned<T>(to);
    return threads::PoolLaunch<T>{down,     across,   in, out,     x.data(),
                                  y.data(), g.data(), to, aligned, total};
  });
}

template <class T>
void parts() {
  const std::int64_t blocks[] = {1, 4, 8, 16};
  const std::int64_t block = blocks[draw(4)];
  const std::int64_t down = 1 + draw(4);
  const std::int64_t across = 1 + draw(4);
  const Planes result{draw(4), 1 + draw(9), 1 + draw(9), block};
  std::vector<Memory<T>> held;
  std::vector<PartOf<T>> all;
  for (std::int64_t start = 0; start < down * across; ++start) {
    if (draw(4) > 0) {
      const PartOf<T> part{nullptr, draw(result.height / down + 3), draw(result.width / across + 3),
                           start / across, start % across};
      held.emplace_back(result.count * part.height * part.width * block);
      fill(held.back(), 1000);
      all.push_back(part);
    }
  }
  for (std::size_t k = 0; k < all.size(); ++k) {
    all[k].data = held[k].data();
  }
  check_parts(all, down, across);
  std::vector<T> expected(static_cast<std::size_t>(result.count * result.size()));
  for (std::int64_t k = 0; k < result.count; ++k) {
    cpu::interleave(all, down, across, result, k, expected.data());
  }
  compare(expected, "parts",
          [&](T* out) { return threads::interleave_launch(all, down, across, result, out); });
}

// Where patches, results or both begin: near, or as far away as numbers go.
std::int64_t begin() {
  const std::int64_t far[] = {INT64_MAX, INT64_MIN, INT64_MAX - 3};
  return draw(12) == 0 ? far[draw(3)] : draw(16) - 8;
}

void around() {
  const std::int64_t wholes = 1 + draw(3);
  const std::int64_t samples = wholes * draw(4);
  const std::int64_t channels = 1 + draw(3);
  const Surroundings all{
      samples, channels, wholes, {draw(6), draw(6)}, {draw(9), draw(9)}, {draw(9), draw(9)}};
  Memory<float> patch(all.planes() * all.patch[0] * all.patch[1]);
  Memory<float> whole(wholes * channels * all.whole[0] * all.whole[1]);
  fill(patch, 1000);
  fill(whole, 1000);
  std::vector<std::int64_t> at;
  std::vector<std::int64_t> from;
  for (std::int64_t k = 0; k < 2 * samples; ++k) {
    at.push_back(begin());
    from.push_back(draw(4) == 0 ? at.back() : begin());
  }
  std::vector<float> expected(static_cast<std::size_t>(all.planes() * all.size()));
  cpu::surround(all, patch.data(), whole.data(), at.data(), from.data(), 0.5f, 0, all.planes(),
                expected.data());
  compare(expected, "around", [&](float* out) {
    return threads::surround_launch(all, patch.data(), whole.data(), at.data(), from.data(), 0.5f,
                                    out);
  });
}

void refused(std::int64_t parts, std::int64_t down, std::int64_t across, const char* what) {
  std::vector<Part> all;
  for (std::int64_t k = 0; k < parts; ++k) {
    all.push_back({nullptr, 1, 1, 0, k});
  }
  try {
    threads::interleave_launch(all, down, across, {1, 1, 1, 1}, static_cast<float*>(nullptr));
  } catch (const std::invalid_argument& error) {
    expect(std::string(error.what()).find(what) != std::string::npos, error.what());
    return;
  }
  expect(false, std::string("too many are taken: ") + what);
}

}  // namespace

int main() {
  for (int round = 0; round < 200; ++round) {
    gelu<float>();
    gelu<Half>();
    pool<float>();
    pool<Half>();
    parts<float>();
    parts<Half>();
    around();
  }
  refused(65, 1, 65, "65 parts");
  refused(1, 32, 33, "32 and 33");
  const WindowAxis axis{3, 2, 1, 1};
  const WindowAxis wide{1 << 20, 1, 1 << 20, 0};
  const Planes planes{1, 9, 9, 1};
  const Planes many{1 << 10, 1 << 10, 1 << 10, 1};
  const auto small = [&](const WindowAxis& down, const Planes& in, std::int64_t total) {
    return threads::PoolLaunch<float>{down,    axis,    in,      planes, nullptr,
                                      nullptr, nullptr, nullptr, false,  total}
        .is_small();
  };
  expect(small(axis, planes, 81) && !small(wide, planes, 81) && !small(axis, many, 1 << 30),
         "what does not fit 32 bits counts in 64");
  const auto small_around = [](std::int64_t patch, std::int64_t whole, std::int64_t made) {
    const Surroundings all{1, 1, 1, {patch, patch}, {whole, whole}, {made, made}};
    return threads::surround_launch(all, nullptr, nullptr, nullptr, nullptr, 0.0f, nullptr)
        .is_small();
  };
  constexpr std::int64_t kWide = 1 << 16;
  expect(small_around(9, 9, 9) && !small_around(kWide, 9, 9) && !small_around(9, kWide, 9) &&
             !small_around(9, 9, kWide),
         "what is around and does not fit 32 bits counts in 64");
  std::puts("the same");
}

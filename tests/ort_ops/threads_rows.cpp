// Walks back through softmax and normalisations as a GPU's threads make them (here one row after
// the other, all lanes at once) and as the CPU does: the same bits, whatever arrives, and whatever
// lies ahead.
#include <cmath>
#include <cstring>

#include "drawn.hpp"
#include "kernels/lanes.hpp"
#include "kernels/row_threads.hpp"

using namespace onnxplain;
using namespace drawn;

namespace {

using Shape = std::vector<std::int64_t>;

template <class T>
void fill(std::vector<T>& values) {
  for (T& value : values) {
    value = from_float<T>(static_cast<float>(draw(2001) - 1000) / 97.0f);
    if (draw(500) == 0) {
      const float special[] = {INFINITY, -INFINITY, NAN, -0.0f, 6e-8f};
      value = from_float<T>(special[draw(5)]);
    }
  }
}

template <class T>
void same(const Memory<T>& found, const std::vector<T>& expected, const std::string& what) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const float a = to_float(found.data()[i]);
    const float b = to_float(expected[i]);
    expect((a != a && b != b) || std::memcmp(found.data() + i, &expected[i], sizeof(T)) == 0,
           what + ", element " + std::to_string(i) + ": " + std::to_string(a) + ", not " +
               std::to_string(b));
  }
}

// What arrives, at each element.
template <class T>
std::vector<T> everywhere(const Operand<T>& g, std::int64_t total) {
  std::vector<T> all;
  for (std::int64_t i = 0; i < total; ++i) {
    std::uint64_t within = 0;
    const bool repeated = !g.strides.empty() && g.strides.back() == 0;
    all.push_back(g.lengths.empty() ? g.data[i]
                                    : g.data[threads::offset_of<std::uint64_t>(
                                          g.lengths.data(), static_cast<int>(g.lengths.size()),
                                          repeated, static_cast<std::uint64_t>(i), within)]);
  }
  return all;
}

template <class T>
void rows(const Shape& shape) {
  Shape own(shape.begin() + draw(static_cast<std::int64_t>(shape.size()) + 1), shape.end());
  for (std::int64_t& length : own) {
    length = draw(3) == 0 ? 1 : length;
  }
  const std::int64_t total = size_of(shape);
  const std::int64_t size = shape.back();
  const std::int64_t count = size_of(Shape(shape.begin(), shape.end() - 1));
  Memory<T> x(total);
  Memory<T> g(size_of(own));
  Memory<T> scale(draw(2) == 0 ? 1 : size);
  fill(x.all);
  fill(g.all);
  fill(scale.all);
  const Operand<T> arriving = operand<T>(g.data(), own, shape);
  const std::vector<T> all = everywhere(arriving, total);
  Memory<T> found(total);
  const auto set = [&](threads::RowLaunch<T>& launch) {
    std::fill(found.all.begin(), found.all.end(), from_float<T>(-1234.5f));
    launch.x = x.data();
    launch.g = threads::input(arriving, launch.length, 0);
    launch.dx = found.data();
    launch.rows = count;
    launch.size = size;
  };
  std::vector<T> expected(static_cast<std::size_t>(total));

  threads::SoftmaxLaunch<T> softmax{};
  set(softmax);
  for (std::int64_t row = 0; row < count; ++row) {
    softmax.run_row(cpu::Lanes{}, row);
  }
  cpu::softmax_backward(x.data(), all.data(), size, 0, count, expected.data());
  same(found, expected, "softmax");

  const bool scaled = draw(2) == 0;
  const bool one = size_of({static_cast<std::int64_t>(scale.all.size() - scale.ahead)}) != size;
  std::vector<float> scales;
  for (std::int64_t i = 0; scaled && i < size; ++i) {
    scales.push_back(to_float(scale.data()[one ? 0 : i]));
  }
  threads::NormLaunch<T> norm{};
  set(norm);
  norm.norm = {draw(2) == 0, draw(2) == 0, 1e-3f};
  norm.scale = scaled ? scale.data() : nullptr;
  norm.one_scale = one;
  for (std::int64_t row = 0; row < count; ++row) {
    norm.run_row(cpu::Lanes{}, row);
  }
  cpu::norm_backward(norm.norm, x.data(), all.data(), scaled ? scales.data() : nullptr, size, 0,
                     count, expected.data());
  same(found, expected, "norm");
}

}  // namespace

int main() {
  for (int round = 0; round < 300; ++round) {
    Shape shape;
    for (std::int64_t axis = draw(4); axis >= 0; --axis) {
      shape.push_back(draw(15) == 0 ? 0 : 1 + draw(9));
    }
    shape.back() = draw(20) == 0 ? 0 : 1 + draw(50);
    rows<float>(shape);
    rows<Half>(shape);
  }
  rows<float>({2, 5000});
  rows<Half>({2, 5000});
  std::puts("the same");
}

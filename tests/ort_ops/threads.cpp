// Random elementwise programs, as a GPU's threads run them (here one after the other) and by the
// CPU's loops: the same bits, whatever the shapes, widths, types and alignment.
#include <cstring>
#include <stdexcept>

#include "drawn.hpp"
#include "kernels/elementwise_cpu.hpp"
#include "kernels/elementwise_threads.hpp"

using namespace onnxplain;
using namespace drawn;

namespace {

using Shape = std::vector<std::int64_t>;

template <class T, class Index, int Width>
void run_threads(const threads::Launch<T>& launch, int count) {
  std::vector<threads::Pack<Width>> places(static_cast<std::size_t>(launch.program.places * count) +
                                           1);
  in_threads(count, [&](std::int64_t thread) {
    for (std::int64_t pack = thread; pack * Width < launch.total; pack += count) {
      const std::int64_t rest = launch.total - pack * Width;
      threads::run<Index, Width>(launch, pack * Width,
                                 static_cast<int>(std::min<std::int64_t>(rest, Width)),
                                 places.data() + thread, count);
    }
  });
}

std::vector<std::int64_t> random_program(std::int64_t given, std::int64_t steps) {
  std::vector<std::int64_t> encoded;
  for (std::int64_t k = 0; k < steps; ++k) {
    const std::int64_t kind = draw(static_cast<std::int64_t>(StepKind::kCount));
    encoded.push_back(kind);
    for (int i = 0; i < 3; ++i) {
      const bool near = draw(2) == 0 && k > 0;  // half read the step before
      const bool there = i < arity(static_cast<StepKind>(kind));
      encoded.push_back(!there ? -1 : (near ? given + k - 1 : draw(given + k)));
    }
  }
  return encoded;
}

template <class T>
void one(std::int64_t seed) {
  Shape full;
  for (std::int64_t axis = draw(5); axis >= 0; --axis) {
    full.push_back(1 + draw(9));
  }
  const std::int64_t inputs = 1 + draw(5);
  std::vector<Shape> shapes;
  std::vector<Memory<T>> values;
  for (std::int64_t k = 0; k < inputs; ++k) {
    Shape shape(full.begin() + draw(static_cast<std::int64_t>(full.size())), full.end());
    for (std::int64_t& length : shape) {
      length = draw(3) == 0 ? 1 : length;
    }
    values.emplace_back(size_of(shape));
    for (T& value : values.back().all) {
      const float number = static_cast<float>(draw(2001) - 1000) / 128.0f;
      value = from_float<T>(draw(9) == 0 ? 0.0f : number);
    }
    shapes.push_back(shape);
  }
  const ElementwiseProgram program(inputs, random_program(inputs + 2, 1 + draw(25)), {0.5f, -2.0f});
  const Shape result = broadcast(shapes);
  const std::int64_t total = size_of(result);
  std::vector<Operand<T>> operands;
  for (std::size_t k = 0; k < shapes.size(); ++k) {
    operands.push_back(operand<T>(values[k].data(), shapes[k], result));
  }
  Memory<T> expected(total, 0);
  const cpu::Loops loops(program, inputs);
  cpu::Scratch scratch(loops);
  cpu::run(loops, operands, expected.data(), 0, total, scratch);
  const threads::Program same = threads::program(program, inputs);
  for (int variant = 0; variant < 4; ++variant) {
    Memory<T> found(total);
    const auto launch = threads::launch(same, operands, found.data(), total);
    const auto run = variant == 0   ? run_threads<T, std::uint32_t, threads::kWidth>
                     : variant == 1 ? run_threads<T, std::uint64_t, threads::kWidth>
                     : variant == 2 ? run_threads<T, std::uint32_t, 1>
                                    : run_threads<T, std::uint64_t, 1>;
    run(launch, 1 + static_cast<int>(draw(70)));
    for (std::int64_t i = 0; i < total; ++i) {
      const float a = to_float(found.data()[i]);
      const float b = to_float(expected.data()[i]);
      expect(
          (a != a && b != b) || std::memcmp(found.data() + i, expected.data() + i, sizeof(T)) == 0,
          "seed " + std::to_string(seed) + ", element " + std::to_string(i));
    }
  }
}

void refused(std::int64_t inputs, const std::vector<std::int64_t>& encoded, std::size_t constants,
             const char* what) {
  try {
    threads::program(ElementwiseProgram(inputs, encoded, std::vector<float>(constants)), inputs);
  } catch (const std::invalid_argument& error) {
    expect(std::string(error.what()).find(what) != std::string::npos, error.what());
    return;
  }
  expect(false, std::string("too many are taken: ") + what);
}

}  // namespace

int main() {
  for (std::int64_t seed = 0; seed < 150; ++seed) {
    one<float>(seed);
    one<Half>(seed);
  }
  refused(33, {0, 0, 1, -1}, 0, "33 inputs");
  refused(1, {0, 0, 1, -1}, 65, "65 constants");
  std::vector<std::int64_t> many;
  for (std::int64_t k = 0; k < 129; ++k) {
    many.insert(many.end(), {4, k, -1, -1});
  }
  refused(1, many, 0, "129 steps");
  many.clear();
  for (std::int64_t k = 0; k < 128; ++k) {  // the second half reads the first, from its end on
    many.insert(many.end(), {0, 0, k < 64 ? 0 : 1 + 127 - k, -1});
  }
  threads::program(ElementwiseProgram(1, many, {}), 1);
  std::puts("the same");
}

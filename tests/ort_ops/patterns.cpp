// Every pattern that has a loop of its own is found in a program that is made of its tree, whole or
// with other steps around it, and has the bits of the steps one by one.
#include <bit>
#include <cmath>
#include <limits>

#include "drawn.hpp"
#include "kernels/elementwise_cpu.hpp"
#include "kernels/elementwise_patterns.hpp"

using namespace onnxplain;
using namespace drawn;

namespace {

constexpr std::int64_t kInputs = 5;
constexpr std::int64_t kConstants = 6;
constexpr std::int64_t kGiven = kInputs + kConstants;

// A tree as steps: returns the number of what it makes.
struct Writer {
  std::vector<std::int64_t> encoded;

  template <int kWhich>
  std::int64_t write(pattern::In<kWhich>) {
    return kWhich;
  }
  template <int kWhich>
  std::int64_t write(pattern::Number<kWhich>) {
    return kInputs + kWhich;
  }
  template <StepKind kKind, class... Parts>
  std::int64_t write(pattern::Of<kKind, Parts...>) {
    std::vector<std::int64_t> operands{write(Parts{})...};
    constexpr bool kEitherWay = kKind == StepKind::kAdd || kKind == StepKind::kMul;
    if (kEitherWay && draw(2) == 0) {
      std::swap(operands[0], operands[1]);
    }
    operands.resize(3, -1);
    encoded.push_back(static_cast<std::int64_t>(kKind));
    encoded.insert(encoded.end(), operands.begin(), operands.end());
    return kGiven + static_cast<std::int64_t>(encoded.size()) / 4 - 1;
  }
  std::int64_t step(StepKind kind, std::int64_t x, std::int64_t y) {
    encoded.insert(encoded.end(), {static_cast<std::int64_t>(kind), x, y, -1});
    return kGiven + static_cast<std::int64_t>(encoded.size()) / 4 - 1;
  }
};

float drawn_number() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float special[] = {0.0f, -0.0f, 1.0f, -1.0f, 6.0f, kInfinity, -kInfinity, 1e-40f, NAN};
  return draw(4) == 0 ? special[draw(9)] : static_cast<float>(draw(4001) - 2000) / 256.0f;
}

float one_by_one(const ElementwiseProgram& program, std::vector<float> values) {
  for (const Step& step : program.steps()) {
    const auto at = [&](int k) {
      return step.operands[k] < 0 ? 0.0f : values[static_cast<std::size_t>(step.operands[k])];
    };
    const volatile float x = at(0), y = at(1), z = at(2);
    float made = 0.0f;
    switch (step.kind) {
#define ONNXPLAIN_CASE(name, number, operands, meaning) \
  case StepKind::name:                                  \
    made = (meaning);                                   \
    break;
      ONNXPLAIN_STEPS(ONNXPLAIN_CASE)
#undef ONNXPLAIN_CASE
      case StepKind::kCount:
        break;
    }
    values.push_back(made);
  }
  return values.back();
}

void same(const ElementwiseProgram& program, std::int64_t total, const std::string& what) {
  const cpu::Loops loops(program, kInputs);
  std::vector<Memory<float>> values;
  std::vector<Operand<float>> operands;
  for (std::int64_t k = 0; k < kInputs; ++k) {
    values.emplace_back(k == 4 ? 1 : total);  // the last one repeats
    for (float& value : values.back().all) {
      value = drawn_number();
    }
  }
  for (std::int64_t k = 0; k < kInputs; ++k) {
    const std::vector<std::int64_t> shape{k == 4 ? 1 : total};
    operands.push_back(operand<float>(values[static_cast<std::size_t>(k)].data(), shape, {total}));
  }
  std::vector<float> expected;
  for (std::int64_t i = 0; i < total; ++i) {
    std::vector<float> at;
    for (std::int64_t k = 0; k < kInputs; ++k) {
      at.push_back(values[static_cast<std::size_t>(k)].data()[k == 4 ? 0 : i]);
    }
    at.insert(at.end(), program.constants().begin(), program.constants().end());
    expected.push_back(one_by_one(program, at));
  }
  for (const std::size_t place : {std::size_t{9}, std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
    Memory<float> apart(total);
    float* out = place < values.size() ? values[place].data() : apart.data();
    const std::vector<float> before(out, out + total);
    cpu::Scratch scratch(loops);
    const std::int64_t half = total / 2;
    cpu::run(loops, operands, out, 0, half, scratch);
    cpu::run(loops, operands, out, half, total, scratch);
    for (std::int64_t i = 0; i < total; ++i) {
      const float a = out[i];
      const float b = expected[static_cast<std::size_t>(i)];
      expect(
          (a != a && b != b) || std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b),
          what + ", element " + std::to_string(i) + ": " + std::to_string(a) + ", not " +
              std::to_string(b));
    }
    std::copy(before.begin(), before.end(), out);
  }
}

template <class Tree>
void one(const char* name) {
  const std::vector<float> usual{0.0f, 6.0f, 1.0f, -1e-6f, 1e-6f, 0.0f};
  for (int round = 0; round < 4; ++round) {
    std::vector<float> constants;
    for (std::size_t k = 0; k < usual.size(); ++k) {
      constants.push_back(round == 0 ? usual[k] : drawn_number());
    }
    Writer alone;
    alone.write(Tree{});
    const ElementwiseProgram whole(kInputs, alone.encoded, constants);
    expect(round > 0 || cpu::Loops(whole, kInputs).actions().size() == 1,
           std::string(name) + " is not found");
    for (const std::int64_t total : {0, 1, 15, 16, 17, 33, 511, 512, 513, 1100}) {
      same(whole, total, name);
    }
    Writer among;  // what it makes is read twice, and a step inside of it, too
    const std::int64_t before = among.step(StepKind::kSub, 4, 1);
    const std::int64_t made = among.write(Tree{});
    const std::int64_t inner = kGiven + draw(made - kGiven);
    const std::int64_t product = among.step(StepKind::kMul, made, before);
    among.step(StepKind::kSub, among.step(StepKind::kSub, product, inner), made);
    same(ElementwiseProgram(kInputs, among.encoded, constants), 700, std::string(name) + " among");
  }
}

}  // namespace

int main() {
  using namespace pattern;
#define ONNXPLAIN_ONE(name, ...) one<__VA_ARGS__>(#name);
  ONNXPLAIN_PATTERNS(ONNXPLAIN_ONE)
#undef ONNXPLAIN_ONE
  std::puts("the same");
}

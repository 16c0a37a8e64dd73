#include "kernels/elementwise_loops.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <optional>
#include <utility>

#include "kernels/elementwise_patterns.hpp"

namespace onnxplain::cpu {
namespace {

// A result may take the place of an operand, element by element, which is nothing to wait for.
#if defined(__GNUC__) && !defined(__clang__)
#define ONNXPLAIN_NO_WAITING _Pragma("GCC ivdep")
#else
#define ONNXPLAIN_NO_WAITING
#endif

template <class Tree>
ONNXPLAIN_INLINE inline void whole(const float* const* operands, const float* numbers, float* out,
                                   std::int64_t n) {
  std::array<const float*, Tree::kIns> from{};
  for (int k = 0; k < Tree::kIns; ++k) {
    from[k] = operands[k];
  }
  std::array<float, Tree::kNumbers + 1> own{};
  for (int k = 0; k < Tree::kNumbers; ++k) {
    own[k] = numbers[k];
  }
  ONNXPLAIN_NO_WAITING
  for (std::int64_t i = 0; i < n; ++i) {
    float in[Tree::kIns];
    for (int k = 0; k < Tree::kIns; ++k) {
      in[k] = from[k][i];
    }
    out[i] = Tree::value(in, own.data());
  }
}

template <StepKind kKind, int kArity>
struct AloneOf;
template <StepKind kKind>
struct AloneOf<kKind, 1> {
  using Tree = pattern::Of<kKind, pattern::A>;
};
template <StepKind kKind>
struct AloneOf<kKind, 2> {
  using Tree = pattern::Of<kKind, pattern::A, pattern::B>;
};
template <StepKind kKind>
struct AloneOf<kKind, 3> {
  using Tree = pattern::Of<kKind, pattern::A, pattern::B, pattern::C>;
};

#define ONNXPLAIN_STEP_LOOP(name, number, operands_, meaning)                      \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                     \
  void step_##name(const float* const* operands, const float* numbers, float* out, \
                   std::int64_t n) {                                               \
    whole<AloneOf<StepKind::name, operands_>::Tree>(operands, numbers, out, n);    \
  }
ONNXPLAIN_STEPS(ONNXPLAIN_STEP_LOOP)
#undef ONNXPLAIN_STEP_LOOP

// Trees are written as macros' arguments, with commas.
#define ONNXPLAIN_PATTERN_LOOP(name, ...)                                             \
  namespace tree_##name {                                                             \
    using namespace pattern;                                                          \
    using Tree = __VA_ARGS__;                                                         \
  }                                                                                   \
  ONNXPLAIN_FOR_EACH_PROCESSOR                                                        \
  void pattern_##name(const float* const* operands, const float* numbers, float* out, \
                      std::int64_t n) {                                               \
    whole<tree_##name::Tree>(operands, numbers, out, n);                              \
  }
ONNXPLAIN_PATTERNS(ONNXPLAIN_PATTERN_LOOP)
#undef ONNXPLAIN_PATTERN_LOOP
#undef ONNXPLAIN_NO_WAITING

Loop loop_of(StepKind kind) {
  switch (kind) {
#define ONNXPLAIN_STEP_CASE(name, number, operands, meaning) \
  case StepKind::name:                                       \
    return step_##name;
    ONNXPLAIN_STEPS(ONNXPLAIN_STEP_CASE)
#undef ONNXPLAIN_STEP_CASE
    case StepKind::kCount:
      break;
  }
  return nullptr;
}

// What a pattern's leaves stand for in a program.
struct Match {
  std::array<std::int32_t, 8> ins;
  std::array<std::int32_t, 8> numbers;

  Match() : ins{}, numbers{} {
    ins.fill(-1);
    numbers.fill(-1);
  }
};

// Where operands of a program lie.
struct Numbering {
  const ElementwiseProgram& program;
  std::int32_t inputs;
  std::int32_t given;  // inputs and constants

  bool is_constant(std::int32_t operand) const { return operand >= inputs && operand < given; }
  float constant(std::int32_t operand) const {
    return program.constants()[static_cast<std::size_t>(operand - inputs)];
  }
  const Step* step(std::int32_t operand) const {
    return operand < given ? nullptr : &program.steps()[static_cast<std::size_t>(operand - given)];
  }
};

template <int kWhich>
bool fits(pattern::In<kWhich>, const Numbering&, std::int32_t operand, Match& match) {
  std::int32_t& known = match.ins[kWhich];
  known = known < 0 ? operand : known;
  return known == operand;
}

template <int kWhich>
bool fits(pattern::Number<kWhich>, const Numbering& all, std::int32_t operand, Match& match) {
  std::int32_t& known = match.numbers[kWhich];
  known = known < 0 ? operand : known;
  return all.is_constant(operand) && std::bit_cast<std::uint32_t>(all.constant(known)) ==
                                         std::bit_cast<std::uint32_t>(all.constant(operand));
}

template <StepKind kKind, class X>
bool fits(pattern::Of<kKind, X>, const Numbering& all, std::int32_t operand, Match& match) {
  const Step* step = all.step(operand);
  if (step == nullptr || step->kind != kKind) {
    return false;
  }
  return fits(X{}, all, step->operands[0], match);
}

template <StepKind kKind, class X, class Y>
bool fits(pattern::Of<kKind, X, Y>, const Numbering& all, std::int32_t operand, Match& match) {
  const Step* step = all.step(operand);
  if (step == nullptr || step->kind != kKind) {
    return false;
  }
  const Match before = match;
  if (fits(X{}, all, step->operands[0], match) && fits(Y{}, all, step->operands[1], match)) {
    return true;
  }
  if constexpr (kKind == StepKind::kAdd || kKind == StepKind::kMul) {
    match = before;
    return fits(X{}, all, step->operands[1], match) && fits(Y{}, all, step->operands[0], match);
  }
  return false;
}

template <StepKind kKind, class X, class Y, class Z>
bool fits(pattern::Of<kKind, X, Y, Z>, const Numbering& all, std::int32_t operand, Match& match) {
  const Step* step = all.step(operand);
  if (step == nullptr || step->kind != kKind) {
    return false;
  }
  return fits(X{}, all, step->operands[0], match) && fits(Y{}, all, step->operands[1], match) &&
         fits(Z{}, all, step->operands[2], match);
}

template <class Tree>
std::optional<Action> found(Loop loop, const Numbering& all, std::int32_t operand) {
  static_assert(Tree::kIns <= 8 && Tree::kNumbers <= 8);
  Match match;
  if (!fits(Tree{}, all, operand, match)) {
    return std::nullopt;
  }
  Action action{loop, {}, {}, operand - all.given, -1};
  for (int k = 0; k < Tree::kIns; ++k) {
    action.operands.push_back(match.ins[static_cast<std::size_t>(k)]);
  }
  for (int k = 0; k < Tree::kNumbers; ++k) {
    action.numbers.push_back(all.constant(match.numbers[static_cast<std::size_t>(k)]));
  }
  return action;
}

// The largest pattern that makes what a step makes; else the step alone.
Action action_for(const Numbering& all, std::int32_t operand) {
#define ONNXPLAIN_TRY(name, ...)                                              \
  if (auto action = found<tree_##name::Tree>(pattern_##name, all, operand)) { \
    return *std::move(action);                                                \
  }
  ONNXPLAIN_PATTERNS(ONNXPLAIN_TRY)
#undef ONNXPLAIN_TRY
  const Step& step = *all.step(operand);
  return {loop_of(step.kind),
          {step.operands, step.operands + arity(step.kind)},
          {},
          operand - all.given,
          -1};
}

}  // namespace

Loops::Loops(const ElementwiseProgram& program, std::int64_t inputs)
    : constants_(program.constants()), inputs_(inputs) {
  const auto first = static_cast<std::int32_t>(inputs);
  const Numbering all{program, first, first + static_cast<std::int32_t>(constants_.size())};
  const std::size_t count = program.steps().size();
  std::vector<bool> kept(count, false);
  std::vector<std::size_t> last(count, 0);
  read_.assign(static_cast<std::size_t>(all.given), false);
  kept.back() = true;
  for (std::size_t k = count; k-- > 0;) {
    if (!kept[k]) {
      continue;
    }
    actions_.push_back(action_for(all, all.given + static_cast<std::int32_t>(k)));
    for (const std::int32_t operand : actions_.back().operands) {
      if (operand < all.given) {
        read_[static_cast<std::size_t>(operand)] = true;
        continue;
      }
      const auto from = static_cast<std::size_t>(operand - all.given);
      last[from] = kept[from] ? last[from] : k;
      kept[from] = true;
    }
  }
  std::reverse(actions_.begin(), actions_.end());
  std::vector<std::int32_t> places;
  buffers_ = find_places(last, kept, places);
  for (Action& action : actions_) {
    action.place = places[static_cast<std::size_t>(action.step)];
  }
}

}  // namespace onnxplain::cpu

// What each step of an elementwise program does: the one table that the CPU's loops and the GPU's
// threads are made from.
#pragma once

#include <cmath>
#include <cstdint>

// Each line is a step's name, its number in files (which never changes), how many operands it has,
// and the float32 that it makes of them: x, y and z. Truth values are 1 and 0. All are exact or
// correctly rounded, and what is not a number stays so in Max and Min.
// clang-format off
#define ONNXPLAIN_STEPS(STEP)                                   \
  STEP(kAdd, 0, 2, x + y)                                       \
  STEP(kSub, 1, 2, x - y)                                       \
  STEP(kMul, 2, 2, x * y)                                       \
  STEP(kDiv, 3, 2, x / y)                                       \
  STEP(kNeg, 4, 1, -x)                                          \
  STEP(kAbs, 5, 1, fabsf(x))                                    \
  STEP(kSqrt, 6, 1, sqrtf(x))                                   \
  STEP(kReciprocal, 7, 1, 1.0f / x)                             \
  STEP(kMax, 8, 2, x != x ? x : (y != y ? y : (x > y ? x : y))) \
  STEP(kMin, 9, 2, x != x ? x : (y != y ? y : (x < y ? x : y))) \
  STEP(kGreater, 10, 2, x > y ? 1.0f : 0.0f)                    \
  STEP(kLess, 11, 2, x < y ? 1.0f : 0.0f)                       \
  STEP(kGreaterOrEqual, 12, 2, x >= y ? 1.0f : 0.0f)            \
  STEP(kLessOrEqual, 13, 2, x <= y ? 1.0f : 0.0f)               \
  STEP(kEqual, 14, 2, x == y ? 1.0f : 0.0f)                     \
  STEP(kNot, 15, 1, x == 0.0f ? 1.0f : 0.0f)                    \
  STEP(kAnd, 16, 2, x * y)                                      \
  STEP(kOr, 17, 2, x + y > 0.0f ? 1.0f : 0.0f)                  \
  STEP(kWhere, 18, 3, x != 0.0f ? y : z)
// clang-format on

namespace onnxplain {

enum class StepKind : std::int32_t {
#define ONNXPLAIN_STEP(name, number, operands, meaning) name = number,
  ONNXPLAIN_STEPS(ONNXPLAIN_STEP)
#undef ONNXPLAIN_STEP
      kCount = 19,
};

// How many operands a kind of step has.
constexpr int arity(StepKind kind) {
  switch (kind) {
#define ONNXPLAIN_STEP(name, number, operands, meaning) \
  case StepKind::name:                                  \
    return operands;
    ONNXPLAIN_STEPS(ONNXPLAIN_STEP)
#undef ONNXPLAIN_STEP
    case StepKind::kCount:
      break;
  }
  return 0;
}

}  // namespace onnxplain

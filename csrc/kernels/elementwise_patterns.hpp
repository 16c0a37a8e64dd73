// Trees of elementwise steps that programs often have, each as one expression made of the steps
// themselves, so that it has the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/elementwise_steps.hpp"
#include "onnxplain/processors.hpp"

namespace onnxplain::pattern {

// What a step makes.
template <StepKind kKind>
ONNXPLAIN_INLINE inline float made(float x, [[maybe_unused]] float y = 0.0f,
                                   [[maybe_unused]] float z = 0.0f) {
#define ONNXPLAIN_MADE(name, number, operands, meaning) \
  if constexpr (kKind == StepKind::name) {              \
    return meaning;                                     \
  }
  ONNXPLAIN_STEPS(ONNXPLAIN_MADE)
#undef ONNXPLAIN_MADE
}

// Any value, and a constant; the same one wherever the number is the same.
template <int kWhich>
struct In {
  static constexpr int kIns = kWhich + 1;
  static constexpr int kNumbers = 0;
  ONNXPLAIN_INLINE static float value(const float* in, const float*) { return in[kWhich]; }
};
template <int kWhich>
struct Number {
  static constexpr int kIns = 0;
  static constexpr int kNumbers = kWhich + 1;
  ONNXPLAIN_INLINE static float value(const float*, const float* number) { return number[kWhich]; }
};

constexpr int most(int a, int b) {
  return a > b ? a : b;
}

// A step of what its parts make.
template <StepKind kKind, class... Parts>
struct Of {
  static_assert(sizeof...(Parts) == static_cast<std::size_t>(arity(kKind)));
  static constexpr StepKind kStep = kKind;
  static constexpr int kIns = [] {
    int count = 0;
    ((count = most(count, Parts::kIns)), ...);
    return count;
  }();
  static constexpr int kNumbers = [] {
    int count = 0;
    ((count = most(count, Parts::kNumbers)), ...);
    return count;
  }();
  ONNXPLAIN_INLINE static float value(const float* in, const float* number) {
    return made<kKind>(Parts::value(in, number)...);
  }
};

template <class X, class Y>
using Add = Of<StepKind::kAdd, X, Y>;
template <class X, class Y>
using Sub = Of<StepKind::kSub, X, Y>;
template <class X, class Y>
using Mul = Of<StepKind::kMul, X, Y>;
template <class X, class Y>
using Div = Of<StepKind::kDiv, X, Y>;
template <class X, class Y>
using Max = Of<StepKind::kMax, X, Y>;
template <class X, class Y>
using Min = Of<StepKind::kMin, X, Y>;
template <class X, class Y>
using Greater = Of<StepKind::kGreater, X, Y>;
template <class X, class Y>
using Less = Of<StepKind::kLess, X, Y>;
template <class If, class X, class Y>
using Where = Of<StepKind::kWhere, If, X, Y>;
template <class X>
using Abs = Of<StepKind::kAbs, X>;

using A = In<0>;
using B = In<1>;
using C = In<2>;
using D = In<3>;
using N0 = Number<0>;
using N1 = Number<1>;
using N2 = Number<2>;
using N3 = Number<3>;
using N4 = Number<4>;

// Rectified values, and what goes back through them.
template <class X>
using Rectified = Max<N0, X>;
template <class X>
using Clipped = Min<N1, Max<N0, X>>;
template <class G, class X>
using Masked = Where<Greater<X, N0>, G, N1>;
template <class G, class X>
using MaskedTwice = Where<Less<X, N2>, Where<Greater<X, N0>, G, N1>, N1>;

// A sum of products; quotients by what is kept away from zero.
using TwoShares = Add<Mul<A, B>, Mul<A, C>>;
template <class R, class Z>
using Quotient = Div<R, Add<Z, N0>>;
template <class R, class Z>
using Stabilised = Div<R, Add<Z, Where<Less<Z, N0>, N1, N2>>>;

// A multiplier of differences dx, or something else where these are too small to divide by.
template <class R, class Dx, class Otherwise>
using Rescaled =
    Where<Greater<Abs<Dx>, N0>, Div<R, Where<Greater<Abs<Dx>, N0>, Dx, N1>>, Otherwise>;
// The same behind a rectifier at 0 (or clipped at N5) of a value and of its reference.
template <class G, class X, class Y>
using RescaledRectified =
    Rescaled<Mul<G, Sub<Max<N2, X>, Max<N2, Y>>>, Sub<X, Y>, Where<Greater<Max<N2, X>, N3>, G, N4>>;
// And behind one that clips, in parts: compilers write no vectors for all at once.
using ClippedDifference = Mul<A, Sub<Clipped<B>, Clipped<C>>>;
using MaskedBetween = Where<Less<Clipped<B>, N1>, Where<Greater<Clipped<B>, N2>, A, N3>, N3>;

}  // namespace onnxplain::pattern

// The patterns that have loops, what saves most first.
// clang-format off
#define ONNXPLAIN_PATTERNS(PATTERN)                                  \
  PATTERN(kRescaledRectifiedSum, RescaledRectified<Add<A, D>, B, C>) \
  PATTERN(kRescaledRectified, RescaledRectified<A, B, C>)            \
  PATTERN(kRescaledDifferences, Rescaled<A, Sub<B, C>, D>)           \
  PATTERN(kRescaled, Rescaled<A, B, C>)                              \
  PATTERN(kStabilisedTwoShares, Stabilised<TwoShares, A>)            \
  PATTERN(kStabilisedShare, Stabilised<Mul<A, B>, C>)                \
  PATTERN(kStabilised, Stabilised<A, B>)                             \
  PATTERN(kQuotientTwoShares, Quotient<TwoShares, A>)                \
  PATTERN(kQuotientShare, Quotient<Mul<A, B>, C>)                    \
  PATTERN(kQuotient, Quotient<A, B>)                                 \
  PATTERN(kMaskedBetween, MaskedBetween)                             \
  PATTERN(kClippedDifference, ClippedDifference)                     \
  PATTERN(kMaskedTwiceSum, MaskedTwice<Add<A, C>, B>)                \
  PATTERN(kMaskedTwice, MaskedTwice<A, B>)                           \
  PATTERN(kMaskedRectifiedSum, Masked<Max<N2, Add<A, C>>, B>)        \
  PATTERN(kMaskedRectified, Masked<Max<N2, A>, B>)                   \
  PATTERN(kMaskedSum, Masked<Add<A, C>, B>)                          \
  PATTERN(kMasked, Masked<A, B>)                                     \
  PATTERN(kClippedSum, Clipped<Add<A, B>>)                           \
  PATTERN(kClipped, Clipped<A>)                                      \
  PATTERN(kRectifiedSum, Rectified<Add<A, B>>)                       \
  PATTERN(kProductClipped, Mul<Clipped<A>, B>)                       \
  PATTERN(kTwoShares, Add<Mul<A, B>, Mul<C, D>>)                     \
  PATTERN(kShareAndMore, Add<Mul<A, B>, C>)                          \
  PATTERN(kRectified, Rectified<A>)
// clang-format on

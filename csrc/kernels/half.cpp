#include "kernels/half.hpp"

#include "onnxplain/processors.hpp"

// What processors have for the way to float32 and back. Their own narrowing keeps what it can of
// the bits of what is no number, so these are made those of `from_float` before.
#ifdef ONNXPLAIN_X86_INTRINSICS
#include <immintrin.h>
#endif

namespace onnxplain::cpu {
namespace {

ONNXPLAIN_FOR_EACH_PROCESSOR
void widen_plainly(const Half* from, std::int64_t n, float* to) {
  for (std::int64_t i = 0; i < n; ++i) {
    to[i] = to_float(from[i]);
  }
}

ONNXPLAIN_FOR_EACH_PROCESSOR
void narrow_plainly(const float* from, std::int64_t n, Half* to) {
  for (std::int64_t i = 0; i < n; ++i) {
    to[i] = from_float<Half>(from[i]);
  }
}

#ifdef ONNXPLAIN_X86_INTRINSICS

constexpr int kNearest = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

// Vectors of 8 numbers, and of 16.
struct F16c {
  static constexpr std::int64_t kCount = 8;
  __attribute__((target("avx,f16c"))) static void widen(const Half* from, float* to) {
    _mm256_storeu_ps(to, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
  }
  __attribute__((target("avx,f16c"))) static void narrow(const float* from, Half* to) {
    const __m256 value = _mm256_loadu_ps(from);
    const __m256 none = _mm256_cmp_ps(value, value, _CMP_UNORD_Q);
    const __m256 above = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(0xff800000)));
    const __m256 quiet = _mm256_castsi256_ps(_mm256_set1_epi32(0x00400000));
    const __m256 plain = _mm256_or_ps(_mm256_and_ps(value, above), quiet);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                     _mm256_cvtps_ph(_mm256_blendv_ps(value, plain, none), kNearest));
  }
};

struct Avx512 {
  static constexpr std::int64_t kCount = 16;
  __attribute__((target("avx512f"))) static void widen(const Half* from, float* to) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    _mm512_storeu_ps(to, _mm512_maskz_cvtph_ps(0xffff, bits));
  }
  __attribute__((target("avx512f"))) static void narrow(const float* from, Half* to) {
    const __m512 value = _mm512_loadu_ps(from);
    const __mmask16 none = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
    // (bits & above) | quiet
    const __m512i plain = _mm512_mask_ternarylogic_epi32(
        _mm512_castps_si512(value), none, _mm512_set1_epi32(static_cast<int>(0xff800000)),
        _mm512_set1_epi32(0x00400000), 0xea);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm512_maskz_cvtps_ph(0xffff, _mm512_castsi512_ps(plain), kNearest));
  }
};

// The last vector may begin within the one before.
#define ONNXPLAIN_HALVES(Vector, processor)                                                     \
  __attribute__((target(processor))) void widen_by_##Vector(const Half* from, std::int64_t n,   \
                                                            float* to) {                        \
    if (n < Vector::kCount) {                                                                   \
      return widen_plainly(from, n, to);                                                        \
    }                                                                                           \
    for (std::int64_t i = 0; i + Vector::kCount < n; i += Vector::kCount) {                     \
      Vector::widen(from + i, to + i);                                                          \
    }                                                                                           \
    Vector::widen(from + n - Vector::kCount, to + n - Vector::kCount);                          \
  }                                                                                             \
  __attribute__((target(processor))) void narrow_by_##Vector(const float* from, std::int64_t n, \
                                                             Half* to) {                        \
    if (n < Vector::kCount) {                                                                   \
      return narrow_plainly(from, n, to);                                                       \
    }                                                                                           \
    for (std::int64_t i = 0; i + Vector::kCount < n; i += Vector::kCount) {                     \
      Vector::narrow(from + i, to + i);                                                         \
    }                                                                                           \
    Vector::narrow(from + n - Vector::kCount, to + n - Vector::kCount);                         \
  }

ONNXPLAIN_HALVES(F16c, "avx,f16c")
ONNXPLAIN_HALVES(Avx512, "avx512f")

#undef ONNXPLAIN_HALVES
#endif

const HalfLoops& best_loops() {
  static const HalfLoops best = half_loops().front();
  return best;
}

}  // namespace

std::vector<HalfLoops> half_loops() {
  std::vector<HalfLoops> found;
#ifdef ONNXPLAIN_X86_INTRINSICS
  if (__builtin_cpu_supports("avx512f")) {
    found.push_back({"avx512f", widen_by_Avx512, narrow_by_Avx512});
  }
  if (__builtin_cpu_supports("avx") && __builtin_cpu_supports("f16c")) {
    found.push_back({"f16c", widen_by_F16c, narrow_by_F16c});
  }
#endif
  found.push_back({"any", widen_plainly, narrow_plainly});
  return found;
}

void widen(const Half* from, std::int64_t n, float* to) {
  best_loops().widen(from, n, to);
}

void narrow(const float* from, std::int64_t n, Half* to) {
  best_loops().narrow(from, n, to);
}

}  // namespace onnxplain::cpu

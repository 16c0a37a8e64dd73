#include "kernels/philox_blocks.hpp"

#include "onnxplain/processors.hpp"

// Compilers do not see that a product of two 32-bit numbers is one instruction where its whole
// result is used, so it is named here: four times as fast as what GCC makes of the plain loop.
#ifdef ONNXPLAIN_BY_PROCESSOR
#include <immintrin.h>

#include <cstring>
#endif

namespace onnxplain::cpu {
namespace {

#ifdef ONNXPLAIN_BY_PROCESSOR

// Lanes of 64 bits, the lower half of which is a word: products read that half alone.
template <int kBytes>
struct Lanes {
  static constexpr std::int64_t kCount = kBytes / 8;
  typedef std::uint64_t Wide __attribute__((vector_size(kBytes)));
  typedef std::uint32_t Narrow __attribute__((vector_size(kBytes / 2)));
};

// Some vectors go through the rounds side by side, so that none waits for its products.
#define ONNXPLAIN_PHILOX(processor, bytes, side_by_side, multiply)                             \
  __attribute__((target(processor))) void make(const PhiloxWords& counter, std::uint64_t seed, \
                                               std::int64_t count,                             \
                                               std::uint32_t (*words)[kPhiloxBlocks]) {        \
    using Wide = Lanes<bytes>::Wide;                                                           \
    using Narrow = Lanes<bytes>::Narrow;                                                       \
    constexpr std::int64_t kCount = Lanes<bytes>::kCount;                                      \
    Wide lane = {};                                                                            \
    for (std::int64_t k = 0; k < kCount; ++k) {                                                \
      lane[k] = static_cast<std::uint64_t>(k);                                                 \
    }                                                                                          \
    const Wide a = Wide{} + std::uint64_t{0xD2511F53};                                         \
    const Wide b = Wide{} + std::uint64_t{0xCD9E8D57};                                         \
    for (std::int64_t block = 0; block < count; block += (side_by_side) * kCount) {            \
      Wide x[side_by_side][4];                                                                 \
      for (std::int64_t j = 0; j < (side_by_side); ++j) {                                      \
        x[j][0] = lane + (counter.word[0] + static_cast<std::uint64_t>(block + j * kCount));   \
        for (int k = 1; k < 4; ++k) {                                                          \
          x[j][k] = Wide{} + std::uint64_t{counter.word[k]};                                   \
        }                                                                                      \
      }                                                                                        \
      auto key0 = static_cast<std::uint32_t>(seed);                                            \
      auto key1 = static_cast<std::uint32_t>(seed >> 32);                                      \
      _Pragma("GCC unroll 10") for (int round = 0; round < 10; ++round) {                      \
        _Pragma("GCC unroll 8") for (std::int64_t j = 0; j < (side_by_side); ++j) {            \
          const Wide p = multiply(a, x[j][0]);                                                 \
          const Wide q = multiply(b, x[j][2]);                                                 \
          x[j][0] = (q >> 32) ^ x[j][1] ^ std::uint64_t{key0};                                 \
          x[j][2] = (p >> 32) ^ x[j][3] ^ std::uint64_t{key1};                                 \
          x[j][1] = q;                                                                         \
          x[j][3] = p;                                                                         \
        }                                                                                      \
        key0 += 0x9E3779B9U;                                                                   \
        key1 += 0xBB67AE85U;                                                                   \
      }                                                                                        \
      for (std::int64_t j = 0; j < (side_by_side); ++j) {                                      \
        for (int k = 0; k < 4; ++k) {                                                          \
          const Narrow word = __builtin_convertvector(x[j][k], Narrow);                        \
          std::memcpy(words[k] + block + j * kCount, &word, sizeof(word));                     \
        }                                                                                      \
      }                                                                                        \
    }                                                                                          \
  }

#define ONNXPLAIN_PRODUCT16(a, b) (Wide) _mm_mul_epu32((__m128i)(a), (__m128i)(b))
#define ONNXPLAIN_PRODUCT32(a, b) (Wide) _mm256_mul_epu32((__m256i)(a), (__m256i)(b))
#define ONNXPLAIN_PRODUCT64(a, b) (Wide) _mm512_maskz_mul_epu32(0xFF, (__m512i)(a), (__m512i)(b))

ONNXPLAIN_PHILOX("default", 16, 2, ONNXPLAIN_PRODUCT16)
ONNXPLAIN_PHILOX("avx2", 32, 4, ONNXPLAIN_PRODUCT32)
ONNXPLAIN_PHILOX("avx512f", 64, 4, ONNXPLAIN_PRODUCT64)

#undef ONNXPLAIN_PHILOX
#undef ONNXPLAIN_PRODUCT16
#undef ONNXPLAIN_PRODUCT32
#undef ONNXPLAIN_PRODUCT64

#else

void make(const PhiloxWords& counter, std::uint64_t seed, std::int64_t count,
          std::uint32_t (*words)[kPhiloxBlocks]) {
  for (std::int64_t block = 0; block < count; ++block) {
    const PhiloxWords at = {{counter.word[0] + static_cast<std::uint32_t>(block), counter.word[1],
                             counter.word[2], counter.word[3]}};
    const PhiloxWords random = philox4x32(at, seed);
    for (int k = 0; k < 4; ++k) {
      words[k][block] = random.word[k];
    }
  }
}

#endif

}  // namespace

void philox_blocks(const PhiloxWords& counter, std::uint64_t seed, std::int64_t count,
                   std::uint32_t (*words)[kPhiloxBlocks]) {
  make(counter, seed, count, words);
}

}  // namespace onnxplain::cpu

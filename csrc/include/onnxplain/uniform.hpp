// Uniform random numbers that have the same bits everywhere, and are those of NumPy.
//
// They come from the counter-based generator Philox4x64-10 (Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3", 2011), which numpy.random.Philox is, by integers alone.
#pragma once

#include <cstdint>

#include "onnxplain/tensor_view.hpp"

namespace onnxplain {

struct PhiloxLongs {
  std::uint64_t word[4];
};

namespace detail {

// The upper half of a product, from those of halves.
ONNXPLAIN_HOST_DEVICE inline std::uint64_t upper_product(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t mask = 0xFFFFFFFFU;
  const std::uint64_t low = (a & mask) * (b & mask);
  const std::uint64_t left = (a >> 32) * (b & mask) + (low >> 32);
  const std::uint64_t right = (a & mask) * (b >> 32) + (left & mask);
  return (a >> 32) * (b >> 32) + (left >> 32) + (right >> 32);
}

}  // namespace detail

ONNXPLAIN_HOST_DEVICE inline PhiloxLongs philox4x64(PhiloxLongs counter, std::uint64_t key0,
                                                    std::uint64_t key1) {
  PhiloxLongs x = counter;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = 0xD2E7470EE14C6C93ULL;
    const std::uint64_t b = 0xCA5A826395121157ULL;
    x = {{detail::upper_product(b, x.word[2]) ^ x.word[1] ^ key0, b * x.word[2],
          detail::upper_product(a, x.word[0]) ^ x.word[3] ^ key1, a * x.word[0]}};
    key0 += 0x9E3779B97F4A7C15ULL;
    key1 += 0xBB67AE8584CAA73BULL;
  }
  return x;
}

// The numbers, from 0 to below 1, that numpy.random.Philox(counter=block, key=[key0, key1]) makes
// first: it counts before it draws, and takes the upper 53 bits.
ONNXPLAIN_HOST_DEVICE inline void four_uniforms(std::uint64_t block, std::uint64_t key0,
                                                std::uint64_t key1, double* made) {
  const std::uint64_t next = block + 1;
  const PhiloxLongs random = philox4x64({{next, next == 0 ? 1U : 0U, 0, 0}}, key0, key1);
  for (int k = 0; k < 4; ++k) {
    made[k] = static_cast<double>(random.word[k] >> 11) * (1.0 / 9007199254740992.0);
  }
}

}  // namespace onnxplain

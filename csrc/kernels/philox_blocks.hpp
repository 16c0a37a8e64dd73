// The words of consecutive blocks of Philox4x32-10 (onnxplain/normal.hpp), many at once.
#pragma once

#include <cstdint>

#include "onnxplain/normal.hpp"

namespace onnxplain::cpu {

// Blocks made at a time.
inline constexpr std::int64_t kPhiloxBlocks = 64;

// words[k][b] is word k of the block whose counter is the given one with b added to its first word;
// at least `count` blocks are written, at most kPhiloxBlocks.
void philox_blocks(const PhiloxWords& counter, std::uint64_t seed, std::int64_t count,
                   std::uint32_t (*words)[kPhiloxBlocks]);

}  // namespace onnxplain::cpu

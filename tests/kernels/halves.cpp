// Compares all loops over float16 that this processor can run, bit for bit, with the functions of
// one number: every half, and around every half the float32 numbers that lie where rounding turns;
// and those functions with what the numbers themselves say.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "kernels/half.hpp"

using namespace onnxplain;

namespace {

constexpr std::uint32_t kHalves = 1u << 16;

[[noreturn]] void fail(const char* what, const std::string& where, std::uint32_t of) {
  std::fprintf(stderr, "wrong: %s, %s, %08x\n", what, where.c_str(), of);
  std::exit(1);
}

bool is_number(std::uint32_t half) {
  return (half & 0x7fffu) <= 0x7c00u;
}

// What the bits say: sign, exponent, fraction.
double meant(std::uint32_t half) {
  const int exponent = static_cast<int>((half >> 10) & 31u);
  const double fraction = half & 0x3ffu;
  const double size = exponent == 31  ? HUGE_VAL
                      : exponent == 0 ? std::ldexp(fraction, -24)
                                      : std::ldexp(1024.0 + fraction, exponent - 25);
  return (half & 0x8000u) != 0 ? -size : size;
}

// The half nearest to a number, of two as near the even one, found among all that are not negative.
std::uint16_t nearest(float value) {
  const double size = std::fabs(static_cast<double>(value));
  std::uint32_t low = 0;
  std::uint32_t high = 0x7c00u;
  while (high - low > 1) {
    const std::uint32_t middle = (low + high) / 2;
    (meant(middle) <= size ? low : high) = middle;
  }
  // Beyond the largest number the next one counts, which would be 2^16.
  const double above = high == 0x7c00u ? 65536.0 : meant(high);
  const double to_low = size - meant(low);
  const double to_high = above - size;
  const bool is_low = to_low < to_high || (to_low == to_high && low % 2 == 0);
  const std::uint32_t sign = std::signbit(value) ? 0x8000u : 0u;
  return static_cast<std::uint16_t>((is_low ? low : high) | sign);
}

// Around every half and every point between two: that number and its neighbours, of both signs;
// every exponent of float32; what is no number, with all sorts of bits.
std::vector<float> hard() {
  std::vector<float> made;
  const auto add = [&](std::uint32_t bits) {
    made.push_back(std::bit_cast<float>(bits));
    made.push_back(std::bit_cast<float>(bits ^ 0x80000000u));
  };
  for (std::uint32_t half = 0; half < 0x7c00u; ++half) {
    const double next = half + 1 == 0x7c00u ? 65536.0 : meant(half + 1);
    for (const double at : {meant(half), (meant(half) + next) / 2}) {
      const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(at));
      for (std::uint32_t k = bits < 2 ? 0 : bits - 2; k <= bits + 2; ++k) {
        add(k);
      }
    }
  }
  for (std::uint32_t exponent = 0; exponent < 256; ++exponent) {
    for (std::uint32_t bit = 0; bit < 23; ++bit) {
      add(exponent << 23 | 1u << bit);
      add(exponent << 23 | ((1u << bit) - 1));
      add(exponent << 23 | (0x7fffffu ^ (1u << bit)));
    }
    add(exponent << 23 | 0x7fffffu);
  }
  return made;
}

void check_functions(const std::vector<float>& floats) {
  for (std::uint32_t half = 0; half < kHalves; ++half) {
    const float wide = to_float(Half{static_cast<std::uint16_t>(half)});
    const auto bits = std::bit_cast<std::uint32_t>(wide);
    const bool same_sign = bits >> 31 == half >> 15;
    if (is_number(half) ? static_cast<double>(wide) != meant(half) || !same_sign
                        : bits != ((half & 0x8000u) << 16 | 0x7fc00000u | (half & 0x3ffu) << 13)) {
      fail("a half as float32", "one", half);
    }
  }
  for (const float value : floats) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint16_t expected =
        std::isnan(value) ? static_cast<std::uint16_t>((bits >> 16 & 0x8000u) | 0x7e00u)
                          : nearest(value);
    if (from_float<Half>(value).bits != expected) {
      fail("a rounded number", "one", bits);
    }
  }
}

void check_loops(const cpu::HalfLoops& loops, const std::vector<float>& floats) {
  std::vector<Half> halves(kHalves);
  for (std::uint32_t k = 0; k < kHalves; ++k) {
    halves[k].bits = static_cast<std::uint16_t>(k);
  }
  std::vector<float> wide(kHalves);
  loops.widen(halves.data(), kHalves, wide.data());
  for (std::uint32_t k = 0; k < kHalves; ++k) {
    if (std::bit_cast<std::uint32_t>(wide[k]) !=
        std::bit_cast<std::uint32_t>(to_float(halves[k]))) {
      fail("a half as float32", loops.processor, k);
    }
  }
  std::vector<Half> made(floats.size());
  loops.narrow(floats.data(), static_cast<std::int64_t>(floats.size()), made.data());
  for (std::size_t k = 0; k < floats.size(); ++k) {
    if (made[k].bits != from_float<Half>(floats[k]).bits) {
      fail("a rounded number", loops.processor, std::bit_cast<std::uint32_t>(floats[k]));
    }
  }
}

// Any number of numbers, from any address on, and nothing beyond them.
void check_ends(const cpu::HalfLoops& loops) {
  for (std::size_t n = 0; n < 70; ++n) {
    for (std::size_t ahead = 0; ahead < 3; ++ahead) {
      std::vector<Half> halves(n + ahead);
      std::vector<float> floats(n + ahead);
      for (std::size_t k = 0; k < n; ++k) {
        halves[ahead + k].bits = static_cast<std::uint16_t>(0x3c00u + 7 * k);
        floats[ahead + k] = 1.0f + static_cast<float>(k) / 2048.0f;
      }
      std::vector<float> wide(n + 2, -1.0f);
      std::vector<Half> narrow(n + 2, Half{0xbc00u});
      loops.widen(halves.data() + ahead, static_cast<std::int64_t>(n), wide.data() + 1);
      loops.narrow(floats.data() + ahead, static_cast<std::int64_t>(n), narrow.data() + 1);
      for (std::size_t k = 0; k < n; ++k) {
        if (wide[k + 1] != to_float(halves[ahead + k]) ||
            narrow[k + 1].bits != from_float<Half>(floats[ahead + k]).bits) {
          fail("some numbers", loops.processor, static_cast<std::uint32_t>(n));
        }
      }
      if (wide[0] != -1.0f || wide[n + 1] != -1.0f || narrow[0].bits != 0xbc00u ||
          narrow[n + 1].bits != 0xbc00u) {
        fail("what lies beside", loops.processor, static_cast<std::uint32_t>(n));
      }
    }
  }
}

}  // namespace

int main() {
  const std::vector<float> floats = hard();
  check_functions(floats);
  for (const cpu::HalfLoops& loops : cpu::half_loops()) {
    check_loops(loops, floats);
    check_ends(loops);
    std::printf("%s ", loops.processor);
  }
  std::printf("the same\n");
}

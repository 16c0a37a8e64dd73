// Elementwise programs on the CPU, over blocks of elements that stay in the first cache.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/elementwise.hpp"
#include "kernels/elementwise_loops.hpp"

namespace onnxplain::cpu {

// Elements that are worked on at once.
inline constexpr std::int64_t kBlock = 512;

// Memory of one thread; `made` is for a result that is still to be rounded.
class Scratch {
 public:
  explicit Scratch(const Loops& loops);
  float* made() { return at(0); }
  float* input(std::int64_t which) { return at(1 + which); }
  float* constant(std::int64_t which) { return at(1 + inputs_ + which); }
  float* buffer(std::int32_t place) { return at(1 + inputs_ + constants_ + place); }

 private:
  float* at(std::int64_t which) { return memory_.get() + which * kBlock; }

  std::int64_t inputs_;
  std::int64_t constants_;
  std::unique_ptr<float[]> memory_;
};

// Computes elements [begin, end) of the result, which may lie where an operand of its own shape
// does.
template <class T>
void run(const Loops& loops, const std::vector<Operand<T>>& operands, T* out, std::int64_t begin,
         std::int64_t end, Scratch& scratch);

}  // namespace onnxplain::cpu

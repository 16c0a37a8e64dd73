// An elementwise program as loops for the CPU. Steps that often follow each other are one loop
// (elementwise_patterns.hpp): what lies between them stays in registers.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/elementwise.hpp"

namespace onnxplain::cpu {

// Makes n numbers of those of its operands, and of its own constants.
using Loop = void (*)(const float* const* operands, const float* numbers, float* out,
                      std::int64_t n);

// Some steps of a program at once.
struct Action {
  Loop loop;
  std::vector<std::int32_t> operands;  // numbered as those of steps
  std::vector<float> numbers;
  std::int32_t step;   // whose result it makes
  std::int32_t place;  // of the buffer that takes it; the last one's is that of the program
};

class Loops {
 public:
  // Of a program with so many inputs.
  Loops(const ElementwiseProgram& program, std::int64_t inputs);

  const std::vector<Action>& actions() const { return actions_; }
  const std::vector<float>& constants() const { return constants_; }
  std::int64_t inputs() const { return inputs_; }
  std::int32_t buffers() const { return buffers_; }
  // Whether an operand of its number is read at all.
  bool reads(std::int64_t operand) const { return read_[static_cast<std::size_t>(operand)]; }

 private:
  std::vector<Action> actions_;
  std::vector<float> constants_;
  std::vector<bool> read_;
  std::int64_t inputs_;
  std::int32_t buffers_ = 0;
};

}  // namespace onnxplain::cpu

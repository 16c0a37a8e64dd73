// Several elementwise steps as one pass over memory.
//
// A program is a list of steps, each of which makes one value from up to three earlier ones, as
// ONNX defines its operators. It is run over blocks that stay in the first cache, so that nothing
// but inputs and the result crosses the memory bus. Inputs broadcast as in ONNX. All steps are
// exact or correctly rounded, so the result has the bits that the same steps have as operators of
// their own.
#pragma once

#include <cstdint>
#include <vector>

namespace onnxplain {

// What a step does. The numbers are part of the format of files: they never change.
enum class StepKind : std::int32_t {
  kAdd = 0,
  kSub = 1,
  kMul = 2,
  kDiv = 3,
  kNeg = 4,
  kAbs = 5,
  kSqrt = 6,
  kReciprocal = 7,
  kMax = 8,
  kMin = 9,
  kGreater = 10,  // truth values are 1 and 0
  kLess = 11,
  kGreaterOrEqual = 12,
  kLessOrEqual = 13,
  kEqual = 14,
  kNot = 15,
  kAnd = 16,
  kOr = 17,
  kWhere = 18,
  kCount = 19,
};

// Numbers of operands: inputs first, then constants, then the results of earlier steps.
struct Step {
  StepKind kind;
  std::int32_t operands[3];
};

// How many operands a kind of step has.
int arity(StepKind kind);

class ElementwiseProgram {
 public:
  // Throws std::invalid_argument where the encoding is none: `encoded` has four numbers for each
  // step (kind and operands, -1 where there is none), `constants` the values of constants.
  ElementwiseProgram(std::int64_t inputs, const std::vector<std::int64_t>& encoded,
                     std::vector<float> constants);

  const std::vector<Step>& steps() const { return steps_; }
  const std::vector<float>& constants() const { return constants_; }
  // For each step, which of the buffers takes its result; the last step's is that of the program.
  const std::vector<std::int32_t>& places() const { return places_; }
  std::int32_t buffers() const { return buffers_; }

 private:
  std::vector<Step> steps_;
  std::vector<float> constants_;
  std::vector<std::int32_t> places_;
  std::int32_t buffers_ = 0;
};

// An input as it lies in memory, beside the shape of the result: contiguous, with axes of length 1
// that are repeated. Runs of axes that are all repeated, or all there, are one axis.
struct Operand {
  const float* data;
  std::vector<std::int64_t>
      lengths;  // of the result's axes; empty: the input has the result's own shape
  std::vector<std::int64_t> strides;  // 0 where the input is repeated
};

// The shape that inputs broadcast to. Throws std::invalid_argument where they do not.
std::vector<std::int64_t> broadcast(const std::vector<std::vector<std::int64_t>>& shapes);

// Throws std::invalid_argument where the shape does not broadcast to the result's.
Operand operand(const float* data, const std::vector<std::int64_t>& shape,
                const std::vector<std::int64_t>& result);

namespace cpu {

// Elements that are worked on at once.
inline constexpr std::int64_t kBlock = 1024;

// Memory of one thread.
class Scratch {
 public:
  Scratch(const ElementwiseProgram& program, std::size_t operands);
  float* buffer(std::int32_t place) { return memory_.data() + place * kBlock; }
  float* input(std::size_t which) { return memory_.data() + (buffers_ + which) * kBlock; }
  float* constant(std::size_t which) {
    return memory_.data() + (buffers_ + inputs_ + which) * kBlock;
  }

 private:
  std::size_t buffers_;
  std::size_t inputs_;
  std::vector<float> memory_;
};

// Computes elements [begin, end) of the result.
void run(const ElementwiseProgram& program, const std::vector<Operand>& operands, float* out,
         std::int64_t begin, std::int64_t end, Scratch& scratch);

}  // namespace cpu
}  // namespace onnxplain

// Several elementwise steps as one pass over memory.
//
// A program is a list of steps, each of which makes one value from up to three earlier ones, as
// ONNX defines its operators. It is run over blocks that stay in the first cache (on a GPU: in
// registers and shared memory), so that nothing but inputs and the result crosses the memory bus.
// Inputs broadcast as in ONNX. All steps are exact or correctly rounded, so the result has the bits
// that the same steps have as operators of their own. Tensors are float32, or float16, of which all
// steps are computed in float32 and the result alone is rounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/elementwise_steps.hpp"
#include "kernels/half.hpp"

namespace onnxplain {

// Numbers of operands: inputs first, then constants, then the results of earlier steps.
struct Step {
  StepKind kind;
  std::int32_t operands[3];
};

class ElementwiseProgram {
 public:
  // Throws std::invalid_argument where the encoding is none: `encoded` has four numbers for each
  // step (kind and operands, -1 where there is none), `constants` the values of constants.
  ElementwiseProgram(std::int64_t inputs, const std::vector<std::int64_t>& encoded,
                     std::vector<float> constants);

  const std::vector<Step>& steps() const { return steps_; }
  const std::vector<float>& constants() const { return constants_; }

 private:
  std::vector<Step> steps_;
  std::vector<float> constants_;
};

// An input as it lies in memory, beside the shape of the result: contiguous, with axes of length 1
// that are repeated. Runs of axes that are all repeated, or all there, are one axis.
template <class T>
struct Operand {
  const T* data;
  std::vector<std::int64_t>
      lengths;  // of the result's axes; empty: the input has the result's own shape
  std::vector<std::int64_t> strides;  // 0 where the input is repeated
};

// Where the results of steps lie: `last[k]` is the step that reads step k's result last, and
// `kept[k]` whether it needs a place at all (-1 where not). Returns how many places there are.
std::int32_t find_places(const std::vector<std::size_t>& last, const std::vector<bool>& kept,
                         std::vector<std::int32_t>& places);

// The shape that inputs broadcast to. Throws std::invalid_argument where they do not.
std::vector<std::int64_t> broadcast(const std::vector<std::vector<std::int64_t>>& shapes);

// Throws std::invalid_argument where the shape does not broadcast to the result's.
template <class T>
Operand<T> operand(const T* data, const std::vector<std::int64_t>& shape,
                   const std::vector<std::int64_t>& result);

}  // namespace onnxplain

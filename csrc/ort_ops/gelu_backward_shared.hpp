// What GeluBackward has in common on all devices.
#pragma once

#include <cstddef>
#include <vector>

#include "onnxplain/check.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {

template <class T>
struct GeluBackward {
  static constexpr const char* kName = named<T>("GeluBackward", "GeluBackwardFloat16");
  static constexpr ElementType kInputs[] = {kElement<T>, kElement<T>};
  static constexpr ElementType kOutput = kElement<T>;
  static constexpr std::size_t kRequiredInputs = 2;

  float factor = 1.0f;
  bool by_tanh = false;

  explicit GeluBackward(const Info& info) {
    const std::vector<float> given = info.floats("factor");
    require(given.size() == 1, "GeluBackward: factor must be one number");
    factor = given[0];
    by_tanh = info.integer("tanh", 0) != 0;
  }
};

}  // namespace onnxplain::ort

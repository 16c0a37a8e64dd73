// What the operators over rows have in common on all devices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/row_backward.hpp"
#include "onnxplain/check.hpp"
#include "ort_ops/op.hpp"

namespace onnxplain::ort {

inline std::int64_t size_of(const std::vector<std::int64_t>& shape) {
  std::int64_t size = 1;
  for (const std::int64_t length : shape) {
    size *= length;
  }
  return size;
}

struct Rows {
  std::int64_t count = 1;
  std::int64_t size = 1;
};

inline Rows rows_of(const std::vector<std::int64_t>& shape, std::size_t axes, const char* name) {
  require(axes <= shape.size(), std::string(name) + ": there are " + std::to_string(shape.size()) +
                                    " axes, and a row has " + std::to_string(axes));
  Rows rows;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    (k + axes < shape.size() ? rows.count : rows.size) *= shape[k];
  }
  return rows;
}

// Throws where what arrives is not broadcast to the shape of the values.
inline void check_arriving(const std::vector<std::int64_t>& own,
                           const std::vector<std::int64_t>& shape, const char* name) {
  bool fits = own.size() <= shape.size();
  for (std::size_t k = 0; fits && k < own.size(); ++k) {
    const std::int64_t length = shape[shape.size() - own.size() + k];
    fits = own[k] == 1 || own[k] == length;
  }
  require(fits, std::string(name) + ": the gradient has no shape that fits the values");
}

template <class T>
struct Softmax {
  static constexpr const char* kName = named<T>("SoftmaxBackward", "SoftmaxBackwardFloat16");
  static constexpr ElementType kInputs[] = {kElement<T>, kElement<T>};
  static constexpr ElementType kOutput = kElement<T>;
  static constexpr std::size_t kRequiredInputs = 2;

  explicit Softmax(const Info&) {}
};

template <class T>
struct Norm {
  static constexpr const char* kName = named<T>("NormBackward", "NormBackwardFloat16");
  static constexpr ElementType kInputs[] = {kElement<T>, kElement<T>, kElement<T>};
  static constexpr ElementType kOutput = kElement<T>;
  static constexpr std::size_t kRequiredInputs = 2;

  std::size_t axes = 1;  // so many last axes are a row
  Normalisation norm{};

  explicit Norm(const Info& info) {
    const std::vector<std::int64_t> lengths = info.ints("axes");
    const std::vector<std::int64_t> centred = info.ints("centred");
    const std::vector<std::int64_t> constant = info.ints("constant");
    const std::vector<float> epsilon = info.floats("epsilon");
    require(lengths.size() == 1 && lengths[0] >= 1,
            "NormBackward: axes must be one positive number");
    require(centred.size() == 1 && constant.size() == 1 && epsilon.size() == 1,
            "NormBackward: centred, constant and epsilon must be one number each");
    axes = static_cast<std::size_t>(lengths[0]);
    norm = {centred[0] != 0, constant[0] != 0, epsilon[0]};
  }

  // Whether a scale is one number for all elements of a row; throws where it is not one for each
  // either.
  static bool is_one(const std::vector<std::int64_t>& scale, const Rows& rows) {
    const std::int64_t count = size_of(scale);
    require(count == 1 || count == rows.size, "NormBackward: the scale has " +
                                                  std::to_string(count) + " numbers, and a row " +
                                                  std::to_string(rows.size));
    return count != rows.size;
  }
};

}  // namespace onnxplain::ort

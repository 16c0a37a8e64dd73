#include "kernels/elementwise.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "onnxplain/check.hpp"

namespace onnxplain {
namespace {

std::string listed(const std::vector<std::int64_t>& shape) {
  std::string text = "(";
  for (std::size_t k = 0; k < shape.size(); ++k) {
    text += (k == 0 ? "" : ", ") + std::to_string(shape[k]);
  }
  return text + ")";
}

std::string unfit(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& result) {
  return "Elementwise: shape " + listed(shape) + " does not broadcast to " + listed(result);
}

}  // namespace

ElementwiseProgram::ElementwiseProgram(std::int64_t inputs,
                                       const std::vector<std::int64_t>& encoded,
                                       std::vector<float> constants)
    : constants_(std::move(constants)) {
  require(inputs >= 1, "Elementwise: there is no input");
  require(!encoded.empty() && encoded.size() % 4 == 0, "Elementwise: program has no whole steps");
  const std::int64_t given = inputs + static_cast<std::int64_t>(constants_.size());
  const std::size_t count = encoded.size() / 4;
  for (std::size_t k = 0; k < count; ++k) {
    const std::int64_t kind = encoded[4 * k];
    require(kind >= 0 && kind < static_cast<std::int64_t>(StepKind::kCount),
            "Elementwise: there is no step of kind " + std::to_string(kind) +
                "; the library is older than the file");
    Step step{static_cast<StepKind>(kind), {-1, -1, -1}};
    for (int i = 0; i < arity(step.kind); ++i) {
      const std::int64_t from = encoded[4 * k + 1 + static_cast<std::size_t>(i)];
      require(from >= 0 && from < given + static_cast<std::int64_t>(k),
              "Elementwise: step " + std::to_string(k) + " reads what is not there");
      step.operands[i] = static_cast<std::int32_t>(from);
    }
    steps_.push_back(step);
  }
}

std::int32_t find_places(const std::vector<std::size_t>& last, const std::vector<bool>& kept,
                         std::vector<std::int32_t>& places) {
  std::int32_t count = 0;
  std::vector<std::int32_t> free;
  places.assign(last.size(), -1);
  for (std::size_t k = 0; k < last.size(); ++k) {
    for (std::size_t j = 0; j < k; ++j) {
      if (last[j] == k && kept[j]) {  // read here for the last time: the result may take its place
        free.push_back(places[j]);
      }
    }
    if (!kept[k]) {
      continue;
    }
    if (free.empty()) {
      free.push_back(count++);
    }
    places[k] = free.back();
    free.pop_back();
  }
  return count;
}

std::vector<std::int64_t> broadcast(const std::vector<std::vector<std::int64_t>>& shapes) {
  std::vector<std::int64_t> result;
  for (const auto& shape : shapes) {
    if (shape.size() > result.size()) {
      result.insert(result.begin(), shape.size() - result.size(), 1);
    }
    const std::size_t ahead = result.size() - shape.size();
    for (std::size_t k = 0; k < shape.size(); ++k) {
      std::int64_t& length = result[ahead + k];
      require(length == shape[k] || length == 1 || shape[k] == 1,
              [&] { return unfit(shape, result); });
      length = length == 1 ? shape[k] : length;
    }
  }
  return result;
}

template <class T>
Operand<T> operand(const T* data, const std::vector<std::int64_t>& shape,
                   const std::vector<std::int64_t>& result) {
  require(shape.size() <= result.size(), [&] {
    return "Elementwise: " + listed(shape) + " has more axes than the result " + listed(result);
  });
  Operand<T> found{data, {}, {}};
  const std::size_t ahead = result.size() - shape.size();
  std::int64_t stride = 1;
  bool whole = true;
  for (std::size_t k = result.size(); k-- > 0;) {
    const std::int64_t own = k < ahead ? 1 : shape[k - ahead];
    require(own == result[k] || own == 1, [&] { return unfit(shape, result); });
    if (result[k] == 1) {
      continue;
    }
    const bool there = own != 1;
    whole = whole && there;
    const bool again = !found.lengths.empty() && (found.strides.back() != 0) == there;
    if (again) {
      found.lengths.back() *= result[k];
    } else {
      found.lengths.push_back(result[k]);
      found.strides.push_back(there ? stride : 0);
    }
    stride *= own;
  }
  if (whole) {
    return {data, {}, {}};
  }
  std::reverse(found.lengths.begin(), found.lengths.end());
  std::reverse(found.strides.begin(), found.strides.end());
  return found;
}

template Operand<float> operand(const float*, const std::vector<std::int64_t>&,
                                const std::vector<std::int64_t>&);
template Operand<Half> operand(const Half*, const std::vector<std::int64_t>&,
                               const std::vector<std::int64_t>&);

}  // namespace onnxplain

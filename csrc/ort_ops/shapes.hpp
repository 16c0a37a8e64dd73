// What onnxruntime knows of shapes before anything runs, so that operators can tell it theirs: then
// it plans memory ahead, and lets a result take the place of an input.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ort_ops/context.hpp"

namespace onnxplain::ort {

// The length of an axis: a number, or the name of one.
struct Length {
  std::int64_t number;  // -1: not known
  std::string name;

  bool is_known() const { return number >= 0 || !name.empty(); }
  bool operator==(const Length&) const = default;
};

using Lengths = std::vector<Length>;

// What is known of a node's inputs. onnxruntime tells a value without axes and one of which nothing
// is known alike, so neither counts as known.
class Shapes {
 public:
  // The interface is that of the library's own domain: the call has none with it.
  static inline const Api* api = nullptr;

  explicit Shapes(ShapeContext* context) : context_(context) {}

  std::size_t input_count() const {
    std::size_t count = 0;
    check(call<Status*(const ShapeContext*, std::size_t*)>(api, Entry::kShapeInputCount, context_,
                                                           &count));
    return count;
  }

  std::optional<Lengths> input(std::size_t which) const {
    TensorInfo* info = nullptr;  // the context's own
    check(call<Status*(const ShapeContext*, std::size_t, TensorInfo**)>(api, Entry::kShapeInput,
                                                                        context_, which, &info));
    std::size_t rank = 0;
    check(call<Status*(const TensorInfo*, std::size_t*)>(api, Entry::kGetDimensionsCount, info,
                                                         &rank));
    std::vector<std::int64_t> numbers(rank);
    std::vector<const char*> names(rank);
    check(call<Status*(const TensorInfo*, std::int64_t*, std::size_t)>(api, Entry::kGetDimensions,
                                                                       info, numbers.data(), rank));
    check(call<Status*(const TensorInfo*, const char**, std::size_t)>(
        api, Entry::kGetSymbolicDimensions, info, names.data(), rank));
    Lengths found;
    for (std::size_t k = 0; k < rank; ++k) {
      found.push_back({numbers[k], numbers[k] < 0 && names[k] != nullptr ? names[k] : ""});
      if (!found.back().is_known()) {
        return std::nullopt;
      }
    }
    return rank == 0 ? std::nullopt : std::optional(found);
  }

  // Two numbers of an attribute that may have more; none where it has fewer, or too many to read.
  std::optional<std::array<std::int64_t, 2>> two(const char* name) const {
    constexpr int kInts = 2;
    const OpAttribute* attribute = nullptr;
    check(call<Status*(const ShapeContext*, const char*, const OpAttribute**)>(
        api, Entry::kShapeAttribute, context_, name, &attribute));
    std::array<std::int64_t, 64> read{};
    std::size_t bytes = 0;
    Status* status = call<Status*(const OpAttribute*, int, void*, std::size_t, std::size_t*)>(
        api, Entry::kReadAttribute, attribute, kInts, read.data(), sizeof(read), &bytes);
    if (status != nullptr) {
      call<void(Status*)>(api, Entry::kReleaseStatus, status);
      return std::nullopt;
    }
    return bytes < 2 * sizeof(std::int64_t) ? std::nullopt
                                            : std::optional(std::array{read[0], read[1]});
  }

  // Tells the output's shape and type.
  void output(const Lengths& shape, ElementType type) const {
    std::vector<std::int64_t> numbers;
    std::vector<const char*> names;
    for (const Length& each : shape) {
      numbers.push_back(each.number);
      names.push_back(each.name.c_str());
    }
    TensorInfo* info = nullptr;
    check(call<Status*(TensorInfo**)>(api, Entry::kCreateTensorInfo, &info));
    Status* status =
        call<Status*(TensorInfo*, int)>(api, Entry::kSetElementType, info, static_cast<int>(type));
    if (status == nullptr) {
      status = call<Status*(TensorInfo*, const std::int64_t*, std::size_t)>(
          api, Entry::kSetDimensions, info, numbers.data(), numbers.size());
    }
    if (status == nullptr) {
      status = call<Status*(TensorInfo*, const char**, std::size_t)>(
          api, Entry::kSetSymbolicDimensions, info, names.data(), names.size());
    }
    if (status == nullptr) {
      status = call<Status*(ShapeContext*, std::size_t, const TensorInfo*)>(
          api, Entry::kShapeOutput, context_, std::size_t{0}, info);
    }
    call<void(TensorInfo*)>(api, Entry::kReleaseTensorInfo, info);
    check(status);
  }

 private:
  ShapeContext* context_;
};

// The shape that inputs broadcast to, where that is sure.
inline std::optional<Lengths> known_broadcast(const Shapes& shapes) {
  const Length one{1, ""};
  Lengths result;
  for (std::size_t k = 0; k < shapes.input_count(); ++k) {
    const std::optional<Lengths> shape = shapes.input(k);
    if (!shape) {
      return std::nullopt;
    }
    if (shape->size() > result.size()) {
      result.insert(result.begin(), shape->size() - result.size(), one);
    }
    for (std::size_t axis = 0; axis < shape->size(); ++axis) {
      Length& length = result[result.size() - shape->size() + axis];
      if (length != (*shape)[axis] && length != one && (*shape)[axis] != one) {
        return std::nullopt;
      }
      length = length == one ? (*shape)[axis] : length;
    }
  }
  return result;
}

}  // namespace onnxplain::ort

#include "kernels/elementwise.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

#include "onnxplain/check.hpp"
#include "onnxplain/processors.hpp"

namespace onnxplain {
namespace {

std::string listed(const std::vector<std::int64_t>& shape) {
  std::string text = "(";
  for (std::size_t k = 0; k < shape.size(); ++k) {
    text += (k == 0 ? "" : ", ") + std::to_string(shape[k]);
  }
  return text + ")";
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
  std::vector<std::size_t> last(count, 0);  // the step that reads a step's result last
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
      if (from >= given) {
        last[static_cast<std::size_t>(from - given)] = k;
      }
    }
    steps_.push_back(step);
  }
  buffers_ = find_places(last, std::vector<bool>(count, true), places_);
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
              "Elementwise: shape " + listed(shape) + " does not broadcast to " + listed(result));
      length = length == 1 ? shape[k] : length;
    }
  }
  return result;
}

template <class T>
Operand<T> operand(const T* data, const std::vector<std::int64_t>& shape,
                   const std::vector<std::int64_t>& result) {
  require(shape.size() <= result.size(),
          "Elementwise: " + listed(shape) + " has more axes than the result " + listed(result));
  Operand<T> found{data, {}, {}};
  const std::size_t ahead = result.size() - shape.size();
  std::int64_t stride = 1;
  bool whole = true;
  for (std::size_t k = result.size(); k-- > 0;) {
    const std::int64_t own = k < ahead ? 1 : shape[k - ahead];
    require(own == result[k] || own == 1,
            "Elementwise: shape " + listed(shape) + " does not broadcast to " + listed(result));
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

namespace cpu {
namespace {

// Copies elements [begin, begin + count) of a repeated input.
template <class T>
void gather(const Operand<T>& from, std::int64_t begin, std::int64_t count, float* to) {
  const std::size_t rank = from.lengths.size();
  std::vector<std::int64_t> at(rank);
  std::int64_t rest = begin;
  std::int64_t offset = 0;
  for (std::size_t k = rank; k-- > 0;) {
    at[k] = rest % from.lengths[k];
    rest /= from.lengths[k];
    offset += at[k] * from.strides[k];
  }
  while (count > 0) {
    const std::int64_t run = std::min(count, from.lengths[rank - 1] - at[rank - 1]);
    const T* source = from.data + offset;
    if (from.strides[rank - 1] == 0) {
      std::fill_n(to, run, to_float(*source));
    } else {
      widen(source, run, to);
    }
    to += run;
    count -= run;
    at[rank - 1] += run;
    offset += run * from.strides[rank - 1];
    for (std::size_t k = rank - 1; k > 0 && at[k] == from.lengths[k]; --k) {
      offset += from.strides[k - 1] - at[k] * from.strides[k];
      at[k] = 0;
      ++at[k - 1];
    }
  }
}

// A result may take the place of an operand, element by element, which is nothing to wait for.
#if defined(__GNUC__) && !defined(__clang__)
#define ONNXPLAIN_NO_WAITING _Pragma("GCC ivdep")
#else
#define ONNXPLAIN_NO_WAITING
#endif

// What a step does not read is not touched: the number of its operands is known to the compiler.
#define ONNXPLAIN_LOOP(name, number, operands, meaning)              \
  case StepKind::name:                                               \
    ONNXPLAIN_NO_WAITING                                             \
    for (std::int64_t i = 0; i < n; ++i) {                           \
      const float x = a[i];                                          \
      [[maybe_unused]] const float y = (operands) > 1 ? b[i] : 0.0f; \
      [[maybe_unused]] const float z = (operands) > 2 ? c[i] : 0.0f; \
      out[i] = (meaning);                                            \
    }                                                                \
    break;

ONNXPLAIN_FOR_EACH_PROCESSOR
void step(StepKind kind, const float* a, const float* b, const float* c, float* out,
          std::int64_t n) {
  switch (kind) {
    ONNXPLAIN_STEPS(ONNXPLAIN_LOOP)
    case StepKind::kCount:
      break;
  }
}

#undef ONNXPLAIN_NO_WAITING
#undef ONNXPLAIN_LOOP

}  // namespace

Scratch::Scratch(const ElementwiseProgram& program, std::size_t operands)
    : buffers_(static_cast<std::size_t>(program.buffers())),
      inputs_(operands),
      memory_((buffers_ + inputs_ + program.constants().size() + 1) *
              static_cast<std::size_t>(kBlock)) {
  for (std::size_t k = 0; k < program.constants().size(); ++k) {
    std::fill_n(constant(k), kBlock, program.constants()[k]);
  }
}

template <class T>
void run(const ElementwiseProgram& program, const std::vector<Operand<T>>& operands, T* out,
         std::int64_t begin, std::int64_t end, Scratch& scratch) {
  const std::size_t inputs = operands.size();
  const std::size_t given = inputs + program.constants().size();
  std::vector<const float*> at(given + program.steps().size());
  for (std::size_t k = 0; k < program.constants().size(); ++k) {
    at[inputs + k] = scratch.constant(k);
  }
  for (std::int64_t start = begin; start < end; start += kBlock) {
    const std::int64_t n = std::min(kBlock, end - start);
    for (std::size_t k = 0; k < inputs; ++k) {
      const T* data = operands[k].data;
      at[k] = scratch.input(k);
      if (!operands[k].lengths.empty()) {
        gather(operands[k], start, n, scratch.input(k));
      } else if constexpr (std::is_same_v<T, float>) {
        at[k] = data + start;
      } else {
        widen(data + start, n, scratch.input(k));
      }
    }
    for (std::size_t k = 0; k < program.steps().size(); ++k) {
      const Step& each = program.steps()[k];
      const auto operand_at = [&](int i) {
        return each.operands[i] < 0 ? nullptr : at[static_cast<std::size_t>(each.operands[i])];
      };
      float* to = scratch.buffer(program.places()[k]);
      if (k + 1 == program.steps().size()) {
        if constexpr (std::is_same_v<T, float>) {
          to = out + start;
        } else {
          to = scratch.made();
        }
      }
      step(each.kind, operand_at(0), operand_at(1), operand_at(2), to, n);
      at[given + k] = to;
    }
    if constexpr (!std::is_same_v<T, float>) {
      narrow(scratch.made(), n, out + start);
    }
  }
}

template void run(const ElementwiseProgram&, const std::vector<Operand<float>>&, float*,
                  std::int64_t, std::int64_t, Scratch&);
template void run(const ElementwiseProgram&, const std::vector<Operand<Half>>&, Half*, std::int64_t,
                  std::int64_t, Scratch&);

}  // namespace cpu
}  // namespace onnxplain

#include "kernels/elementwise_threads.hpp"

#include <algorithm>
#include <cstddef>
#include <string>

#include "onnxplain/check.hpp"

namespace onnxplain::threads {
namespace {

void fit(std::size_t found, int most, const char* what) {
  require(found <= static_cast<std::size_t>(most),
          "Elementwise: there are " + std::to_string(found) + " " + what +
              ", and on a GPU at most " + std::to_string(most) +
              "; export with form='accelerated_cuda', or 'portable'");
}

}  // namespace

template <class T>
bool is_aligned(const T* data) {
  return reinterpret_cast<std::uintptr_t>(data) % alignof(Stored<T, kWidth>) == 0;
}

template <class T>
Input<T> input(const Operand<T>& from, std::int64_t* length, std::size_t lengths) {
  const std::size_t rank = from.lengths.size();
  std::copy(from.lengths.begin(), from.lengths.end(), length + lengths);
  return {from.data, static_cast<std::uint8_t>(lengths), static_cast<std::uint8_t>(rank),
          rank > 0 && from.strides.back() == 0, is_aligned(from.data)};
}

Program program(const ElementwiseProgram& from, std::int64_t inputs) {
  const std::size_t count = from.steps().size();
  const std::int64_t given = inputs + static_cast<std::int64_t>(from.constants().size());
  fit(static_cast<std::size_t>(inputs), kMostInputs, "inputs");
  fit(from.constants().size(), kMostConstants, "constants");
  fit(count, kMostSteps, "steps");
  std::vector<std::size_t> last(count, 0);
  std::vector<bool> kept(count, false);
  for (std::size_t k = 0; k < count; ++k) {
    for (const std::int32_t operand : from.steps()[k].operands) {
      if (operand >= given) {
        const auto maker = static_cast<std::size_t>(operand - given);
        last[maker] = k;
        kept[maker] = kept[maker] || maker + 1 != k;
      }
    }
  }
  std::vector<std::int32_t> places;
  Program made{};
  made.inputs = static_cast<std::int32_t>(inputs);
  made.constants = static_cast<std::int32_t>(from.constants().size());
  made.steps = static_cast<std::int32_t>(count);
  made.places = find_places(last, kept, places);
  fit(static_cast<std::size_t>(made.places), kMostPlaces, "values that are needed at once");
  std::copy(from.constants().begin(), from.constants().end(), made.constant);
  for (std::size_t k = 0; k < count; ++k) {
    const Step& step = from.steps()[k];
    Instruction& to = made.step[k];
    to.kind = static_cast<std::uint8_t>(step.kind);
    to.place = static_cast<std::int8_t>(places[k]);
    for (int i = 0; i < 3; ++i) {
      std::int64_t operand = step.operands[i] < 0 ? kNone : step.operands[i];
      if (operand >= given) {
        const auto maker = static_cast<std::size_t>(operand - given);
        operand = maker + 1 == k ? kPrevious : given + places[maker];
      }
      to.operands[i] = static_cast<std::int16_t>(operand);
    }
  }
  return made;
}

template <class T>
Launch<T> launch(const Program& program, const std::vector<Operand<T>>& operands, T* out,
                 std::int64_t total) {
  Launch<T> made{program, {}, {}, out, is_aligned(out), total};
  std::size_t lengths = 0;
  for (std::size_t k = 0; k < operands.size(); ++k) {
    const std::size_t rank = operands[k].lengths.size();
    fit(lengths + rank, kMostLengths, "lengths of axes that are repeated, or stand between such");
    made.input[k] = input(operands[k], made.length, lengths);
    lengths += rank;
  }
  return made;
}

template bool is_aligned(const float*);
template bool is_aligned(const Half*);
template Input<float> input(const Operand<float>&, std::int64_t*, std::size_t);
template Input<Half> input(const Operand<Half>&, std::int64_t*, std::size_t);
template Launch<float> launch(const Program&, const std::vector<Operand<float>>&, float*,
                              std::int64_t);
template Launch<Half> launch(const Program&, const std::vector<Operand<Half>>&, Half*,
                             std::int64_t);

}  // namespace onnxplain::threads

#include "kernels/elementwise_cpu.hpp"

#include <algorithm>
#include <type_traits>

namespace onnxplain::cpu {
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

}  // namespace

Scratch::Scratch(const Loops& loops)
    : inputs_(loops.inputs()),
      constants_(static_cast<std::int64_t>(loops.constants().size())),
      memory_(new float[static_cast<std::size_t>((1 + inputs_ + constants_ + loops.buffers()) *
                                                 kBlock)]) {
  for (std::int64_t k = 0; k < constants_; ++k) {
    if (loops.reads(inputs_ + k)) {
      std::fill_n(constant(k), kBlock, loops.constants()[static_cast<std::size_t>(k)]);
    }
  }
}

template <class T>
void run(const Loops& loops, const std::vector<Operand<T>>& operands, T* out, std::int64_t begin,
         std::int64_t end, Scratch& scratch) {
  const std::size_t inputs = operands.size();
  const std::size_t given = inputs + loops.constants().size();
  std::vector<const float*> at(given + static_cast<std::size_t>(loops.actions().back().step) + 1);
  for (std::size_t k = inputs; k < given; ++k) {
    at[k] = scratch.constant(static_cast<std::int64_t>(k - inputs));
  }
  std::vector<const float*> taken;
  for (std::int64_t start = begin; start < end; start += kBlock) {
    const std::int64_t n = std::min(kBlock, end - start);
    for (std::size_t k = 0; k < inputs; ++k) {
      if (!loops.reads(static_cast<std::int64_t>(k))) {
        continue;
      }
      const T* data = operands[k].data;
      at[k] = scratch.input(static_cast<std::int64_t>(k));
      if (!operands[k].lengths.empty()) {
        gather(operands[k], start, n, scratch.input(static_cast<std::int64_t>(k)));
      } else if constexpr (std::is_same_v<T, float>) {
        at[k] = data + start;
      } else {
        widen(data + start, n, scratch.input(static_cast<std::int64_t>(k)));
      }
    }
    for (const Action& action : loops.actions()) {
      taken.clear();
      for (const std::int32_t operand : action.operands) {
        taken.push_back(at[static_cast<std::size_t>(operand)]);
      }
      float* to = scratch.buffer(action.place);
      if (&action == &loops.actions().back()) {
        if constexpr (std::is_same_v<T, float>) {
          to = out + start;
        } else {
          to = scratch.made();
        }
      }
      action.loop(taken.data(), action.numbers.data(), to, n);
      at[given + static_cast<std::size_t>(action.step)] = to;
    }
    if constexpr (!std::is_same_v<T, float>) {
      narrow(scratch.made(), n, out + start);
    }
  }
}

template void run(const Loops&, const std::vector<Operand<float>>&, float*, std::int64_t,
                  std::int64_t, Scratch&);
template void run(const Loops&, const std::vector<Operand<Half>>&, Half*, std::int64_t,
                  std::int64_t, Scratch&);

}  // namespace onnxplain::cpu

#include "ort_ops/interleave_op.hpp"

#include <algorithm>

#include "ort_ops/interleave_shared.hpp"

namespace onnxplain::ort {
namespace {

template <class T>
class OnCpu : public Interleave<T> {
 public:
  using Interleave<T>::Interleave;

  void compute(const Context& context) const {
    const auto all = this->tensors(context);
    over_ranges(context, all.result.count,
                std::max<std::int64_t>(1, kTask / std::max<std::int64_t>(1, all.result.size())),
                [&](std::int64_t begin, std::int64_t end) {
                  for (std::int64_t k = begin; k < end; ++k) {
                    cpu::interleave(all.parts, this->strides[0], this->strides[1], all.result, k,
                                    all.out);
                  }
                });
  }
};

}  // namespace

const CustomOp& interleave_op() {
  static const CustomOp op = described<OnCpu<float>>();
  return op;
}

const CustomOp& interleave_float16_op() {
  static const CustomOp op = described<OnCpu<Half>>();
  return op;
}

}  // namespace onnxplain::ort

#include "kernels/relevance.hpp"

#include "onnxplain/parallel.hpp"

namespace onnxplain::cpu {

template <class F, class T>
void binary(const F& function, const Binary<T>& op) {
  parallel_for(op.out.shape[0], kGrain, [&](std::int64_t begin, std::int64_t end) {
    const F f = function;
    const T* a = op.a.data;
    const T* b = op.b.data;
    T* out = op.out.data;
    for (std::int64_t i = begin; i < end; ++i) {
      out[i] = f(a[i], b[i]);
    }
  });
}

#define ONNXPLAIN_INSTANTIATE(F)                               \
  template void binary(const F<float>&, const Binary<float>&); \
  template void binary(const F<double>&, const Binary<double>&)

ONNXPLAIN_INSTANTIATE(StabilisedDivide);
ONNXPLAIN_INSTANTIATE(ReluMask);
ONNXPLAIN_INSTANTIATE(GuidedMask);
ONNXPLAIN_INSTANTIATE(AlphaBetaMerge);

#undef ONNXPLAIN_INSTANTIATE

}  // namespace onnxplain::cpu

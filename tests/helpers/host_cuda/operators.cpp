// The library of operators for a GPU, on the host: descriptions, launchers and threads are those of
// csrc, and the runtime and the grid are stand-ins.
#include "ort_ops/operators.hpp"

#include "kernels/elementwise_threads.hpp"

namespace onnxplain::cuda {

template <class T>
cudaError_t elementwise(const threads::Launch<T>& launch, cudaStream_t) {
  return host_cuda::later([launch] {
    constexpr int kWidth = threads::kWidth;
    std::vector<threads::Pack<kWidth>> places(static_cast<std::size_t>(launch.program.places) + 1);
    for (std::int64_t at = 0; at < launch.total; at += kWidth) {
      const auto count = static_cast<int>(std::min<std::int64_t>(launch.total - at, kWidth));
      threads::run<std::uint32_t, kWidth>(launch, at, count, places.data(), 1);
    }
  });
}

template cudaError_t elementwise(const threads::Launch<float>&, cudaStream_t);
template cudaError_t elementwise(const threads::Launch<Half>&, cudaStream_t);

}  // namespace onnxplain::cuda

namespace ort = onnxplain::ort;

extern "C" __attribute__((visibility("default"))) ort::Status* RegisterCustomOps(
    ort::SessionOptions* options, const ort::ApiBase* base) {
  const ort::Api* api = base->get_api(ort::kApiVersion);
  return ort::guarded(api, [&] {
    static ort::CustomOpDomain* domain = ort::domain_of(api, ort::cuda_operators());
    ort::add(api, options, domain);
  });
}

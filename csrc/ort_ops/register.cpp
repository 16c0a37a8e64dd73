// The library's one entry, which every onnxruntime program can load:
// SessionOptions.register_custom_ops_library in Python, RegisterCustomOpsLibrary in C and C++.
#include "ort_ops/operators.hpp"

#if defined(_WIN32)
#define ONNXPLAIN_EXPORT __declspec(dllexport)
#else
#define ONNXPLAIN_EXPORT __attribute__((visibility("default")))
#endif

using onnxplain::ort::Api;
using onnxplain::ort::ApiBase;
using onnxplain::ort::call;
using onnxplain::ort::CustomOp;
using onnxplain::ort::CustomOpDomain;
using onnxplain::ort::Entry;
using onnxplain::ort::SessionOptions;
using onnxplain::ort::Status;

namespace {

CustomOpDomain* all(const Api* api) {
  std::vector<const CustomOp*> operators = onnxplain::ort::cpu_operators();
  const std::vector<const CustomOp*> on_cuda = onnxplain::ort::cuda_operators();
  operators.insert(operators.end(), on_cuda.begin(), on_cuda.end());
  return onnxplain::ort::domain_of(api, operators);
}

}  // namespace

extern "C" ONNXPLAIN_EXPORT Status* RegisterCustomOps(SessionOptions* options,
                                                      const ApiBase* base) {
  const Api* api = base->get_api(onnxplain::ort::kApiVersion);
  if (api == nullptr) {  // older than 1.18: a status can still be made, by the oldest interface
    return call<Status*(int, const char*)>(
        base->get_api(1), Entry::kCreateStatus, int{onnxplain::ort::kFail},
        "onnxplain's operators need onnxruntime 1.18 or newer; export with form='portable'");
  }
  return onnxplain::ort::guarded(api, [&] {
    static CustomOpDomain* domain = all(api);
    onnxplain::ort::add(api, options, domain);
  });
}

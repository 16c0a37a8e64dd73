// The library's one entry, which every onnxruntime program can load:
// SessionOptions.register_custom_ops_library in Python, RegisterCustomOpsLibrary in C and C++.
#include "ort_ops/context.hpp"
#include "ort_ops/elementwise_op.hpp"
#include "ort_ops/gelu_backward_op.hpp"
#include "ort_ops/give_all_op.hpp"
#include "ort_ops/interleave_op.hpp"
#include "ort_ops/max_pool_grad_op.hpp"
#include "ort_ops/row_ops.hpp"
#include "ort_ops/shapes.hpp"
#include "ort_ops/sparse_conv_transpose_op.hpp"
#include "ort_ops/sum_copies_op.hpp"
#include "ort_ops/surround_op.hpp"
#include "ort_ops/thin_transposed_conv_op.hpp"

#if defined(_WIN32)
#define ONNXPLAIN_EXPORT __declspec(dllexport)
#else
#define ONNXPLAIN_EXPORT __attribute__((visibility("default")))
#endif

using onnxplain::ort::Api;
using onnxplain::ort::ApiBase;
using onnxplain::ort::call;
using onnxplain::ort::check;
using onnxplain::ort::CustomOp;
using onnxplain::ort::CustomOpDomain;
using onnxplain::ort::Entry;
using onnxplain::ort::SessionOptions;
using onnxplain::ort::Status;

namespace {

// One for all sessions, which hold it as long as they live.
CustomOpDomain* domain_of(const Api* api) {
  onnxplain::ort::Shapes::api = api;
  CustomOpDomain* domain = nullptr;
  check(call<Status*(const char*, CustomOpDomain**)>(api, Entry::kCreateCustomOpDomain,
                                                     "ai.onnxplain", &domain));
  namespace ops = onnxplain::ort;
  for (const CustomOp* op : {
           &ops::elementwise_op(),
           &ops::elementwise_float16_op(),
           &ops::gelu_backward_op(),
           &ops::gelu_backward_float16_op(),
           &ops::give_all_op(),
           &ops::give_all_float16_op(),
           &ops::interleave_op(),
           &ops::interleave_float16_op(),
           &ops::max_pool_grad_op(),
           &ops::max_pool_grad_float16_op(),
           &ops::norm_backward_op(),
           &ops::norm_backward_float16_op(),
           &ops::softmax_backward_op(),
           &ops::softmax_backward_float16_op(),
           &ops::sparse_conv_transpose_op(),
           &ops::sum_copies_op(),
           &ops::sum_copies_float16_op(),
           &ops::surround_op(),
           &ops::thin_transposed_conv_op(),
#ifdef ONNXPLAIN_WITH_CUDA
           &ops::elementwise_cuda_op(),
           &ops::elementwise_float16_cuda_op(),
           &ops::gelu_backward_cuda_op(),
           &ops::give_all_cuda_op(),
           &ops::interleave_cuda_op(),
           &ops::max_pool_grad_cuda_op(),
           &ops::norm_backward_cuda_op(),
           &ops::softmax_backward_cuda_op(),
           &ops::sum_copies_cuda_op(),
#endif
       }) {
    check(call<Status*(CustomOpDomain*, const CustomOp*)>(api, Entry::kCustomOpDomainAdd, domain,
                                                          op));
  }
  return domain;
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
    static CustomOpDomain* domain = domain_of(api);
    check(call<Status*(SessionOptions*, CustomOpDomain*)>(api, Entry::kAddCustomOpDomain, options,
                                                          domain));
  });
}

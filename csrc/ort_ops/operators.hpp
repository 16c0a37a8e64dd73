// All operators, by device, and how onnxruntime gets them.
#pragma once

#include <vector>

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
#include "ort_ops/winograd_op.hpp"

namespace onnxplain::ort {

inline std::vector<const CustomOp*> cpu_operators() {
  return {
      &elementwise_op(),
      &elementwise_float16_op(),
      &gelu_backward_op(),
      &gelu_backward_float16_op(),
      &give_all_op(),
      &give_all_float16_op(),
      &interleave_op(),
      &interleave_float16_op(),
      &max_pool_grad_op(),
      &max_pool_grad_float16_op(),
      &norm_backward_op(),
      &norm_backward_float16_op(),
      &softmax_backward_op(),
      &softmax_backward_float16_op(),
      &sparse_conv_transpose_op(),
      &sum_copies_op(),
      &sum_copies_float16_op(),
      &surround_op(),
      &thin_transposed_conv_op(),
      &winograd_conv_op(),
  };
}

// The others have none: no pass for a GPU writes them.
inline std::vector<const CustomOp*> cuda_operators() {
#ifdef ONNXPLAIN_WITH_CUDA
  return {
      &elementwise_cuda_op(),      &elementwise_float16_cuda_op(),
      &gelu_backward_cuda_op(),    &gelu_backward_float16_cuda_op(),
      &give_all_cuda_op(),         &give_all_float16_cuda_op(),
      &interleave_cuda_op(),       &interleave_float16_cuda_op(),
      &max_pool_grad_cuda_op(),    &max_pool_grad_float16_cuda_op(),
      &norm_backward_cuda_op(),    &norm_backward_float16_cuda_op(),
      &softmax_backward_cuda_op(), &softmax_backward_float16_cuda_op(),
      &sum_copies_cuda_op(),       &sum_copies_float16_cuda_op(),
      &surround_cuda_op(),
  };
#else
  return {};
#endif
}

// Makes a domain of operators, for all sessions, which hold it as long as they live.
inline CustomOpDomain* domain_of(const Api* api, const std::vector<const CustomOp*>& operators) {
  Shapes::api = api;
  CustomOpDomain* domain = nullptr;
  check(call<Status*(const char*, CustomOpDomain**)>(api, Entry::kCreateCustomOpDomain,
                                                     "ai.onnxplain", &domain));
  for (const CustomOp* op : operators) {
    check(call<Status*(CustomOpDomain*, const CustomOp*)>(api, Entry::kCustomOpDomainAdd, domain,
                                                          op));
  }
  return domain;
}

inline void add(const Api* api, SessionOptions* options, CustomOpDomain* domain) {
  check(call<Status*(SessionOptions*, CustomOpDomain*)>(api, Entry::kAddCustomOpDomain, options,
                                                        domain));
}

}  // namespace onnxplain::ort

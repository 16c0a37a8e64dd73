// The few entries of onnxruntime's interface that csrc/ort_ops uses, held against the official
// header.
#include <onnxruntime_c_api.h>

#include <cstddef>

#include "ort_ops/ort_api.hpp"

namespace ours = onnxplain::ort;

#define SAME_ENTRY(official, own)                                                               \
  static_assert(                                                                                \
      offsetof(OrtApi, official) / sizeof(void*) == static_cast<std::size_t>(ours::Entry::own), \
      #official)
SAME_ENTRY(CreateStatus, kCreateStatus);
SAME_ENTRY(CreateCustomOpDomain, kCreateCustomOpDomain);
SAME_ENTRY(CustomOpDomain_Add, kCustomOpDomainAdd);
SAME_ENTRY(AddCustomOpDomain, kAddCustomOpDomain);
SAME_ENTRY(GetTensorMutableData, kGetTensorMutableData);
SAME_ENTRY(CreateTensorTypeAndShapeInfo, kCreateTensorInfo);
SAME_ENTRY(SetTensorElementType, kSetElementType);
SAME_ENTRY(SetDimensions, kSetDimensions);
SAME_ENTRY(GetDimensionsCount, kGetDimensionsCount);
SAME_ENTRY(GetDimensions, kGetDimensions);
SAME_ENTRY(GetSymbolicDimensions, kGetSymbolicDimensions);
SAME_ENTRY(GetTensorTypeAndShape, kGetTensorTypeAndShape);
SAME_ENTRY(KernelContext_GetInputCount, kContextGetInputCount);
SAME_ENTRY(KernelContext_GetInput, kContextGetInput);
SAME_ENTRY(KernelContext_GetOutput, kContextGetOutput);
SAME_ENTRY(ReleaseTensorTypeAndShapeInfo, kReleaseTensorInfo);
SAME_ENTRY(ReleaseStatus, kReleaseStatus);
SAME_ENTRY(KernelInfoGetAttribute_int64, kInfoGetInt);
SAME_ENTRY(KernelInfoGetAttributeArray_float, kInfoGetFloats);
SAME_ENTRY(KernelInfoGetAttributeArray_int64, kInfoGetInts);
SAME_ENTRY(KernelContext_GetGPUComputeStream, kContextGetGpuStream);
SAME_ENTRY(KernelInfo_GetInputCount, kInfoGetInputCount);
SAME_ENTRY(ShapeInferContext_GetInputCount, kShapeInputCount);
SAME_ENTRY(ShapeInferContext_GetInputTypeShape, kShapeInput);
SAME_ENTRY(ShapeInferContext_GetAttribute, kShapeAttribute);
SAME_ENTRY(ShapeInferContext_SetOutputTypeShape, kShapeOutput);
SAME_ENTRY(SetSymbolicDimensions, kSetSymbolicDimensions);
SAME_ENTRY(ReadOpAttr, kReadAttribute);
SAME_ENTRY(KernelContext_ParallelFor, kContextParallelFor);

#define SAME_FIELD(official, own) \
  static_assert(offsetof(OrtCustomOp, official) == offsetof(ours::CustomOp, own), #official)
SAME_FIELD(version, version);
SAME_FIELD(CreateKernel, create_kernel);
SAME_FIELD(GetName, name);
SAME_FIELD(GetExecutionProviderType, provider);
SAME_FIELD(GetInputType, input_type);
SAME_FIELD(GetInputTypeCount, input_count);
SAME_FIELD(GetOutputType, output_type);
SAME_FIELD(GetOutputTypeCount, output_count);
SAME_FIELD(KernelCompute, compute);
SAME_FIELD(KernelDestroy, destroy);
SAME_FIELD(GetInputCharacteristic, input_characteristic);
SAME_FIELD(GetOutputCharacteristic, output_characteristic);
SAME_FIELD(GetInputMemoryType, input_memory);
SAME_FIELD(GetVariadicInputMinArity, variadic_input_minimum);
SAME_FIELD(GetVariadicInputHomogeneity, variadic_input_homogeneous);
SAME_FIELD(GetVariadicOutputMinArity, variadic_output_minimum);
SAME_FIELD(GetVariadicOutputHomogeneity, variadic_output_homogeneous);
SAME_FIELD(CreateKernelV2, create_kernel_v2);
SAME_FIELD(KernelComputeV2, compute_v2);
SAME_FIELD(InferOutputShapeFn, infer_shape);
SAME_FIELD(GetStartVersion, start_version);
SAME_FIELD(GetEndVersion, end_version);
SAME_FIELD(GetMayInplace, may_inplace);
SAME_FIELD(ReleaseMayInplace, release_may_inplace);
SAME_FIELD(GetAliasMap, alias_map);
SAME_FIELD(ReleaseAliasMap, release_alias_map);
static_assert(sizeof(OrtCustomOp) >= sizeof(ours::CustomOp));

static_assert(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT == static_cast<int>(ours::kFloat));
static_assert(ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 == static_cast<int>(ours::kInt64));
static_assert(ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 == static_cast<int>(ours::kFloat16));
static_assert(INPUT_OUTPUT_OPTIONAL == static_cast<int>(ours::kOptional));
static_assert(INPUT_OUTPUT_VARIADIC == static_cast<int>(ours::kVariadic));
static_assert(INPUT_OUTPUT_REQUIRED == static_cast<int>(ours::kRequired));
static_assert(ORT_INVALID_ARGUMENT == static_cast<int>(ours::kInvalidArgument));
static_assert(ORT_FAIL == static_cast<int>(ours::kFail));
static_assert(OrtMemTypeDefault == static_cast<int>(ours::kDefaultMemory));
static_assert(OrtMemTypeCPUInput == static_cast<int>(ours::kHostMemory));

int main() {}

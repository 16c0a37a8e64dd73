// The few entries of onnxruntime's C interface that the operators use.
//
// onnxruntime's wheels have no headers, and its interface is a table of functions to which entries
// are only added: an entry is known by its number. The numbers and layouts here are held against
// the official header by a test (tests/ort_ops/official.cpp), where that header is found.
#pragma once

#include <cstddef>
#include <cstdint>

namespace onnxplain::ort {

// The oldest interface that has all of the entries below: onnxruntime 1.18.
inline constexpr std::uint32_t kApiVersion = 18;

enum ErrorCode : int { kFail = 1, kInvalidArgument = 2 };
enum ElementType : int { kFloat = 1, kInt64 = 7, kFloat16 = 10 };
enum Characteristic : int { kRequired = 0, kOptional = 1, kVariadic = 2 };
enum MemoryType : int { kHostMemory = -2, kDefaultMemory = 0 };

// Opaque to us.
struct Status;
struct SessionOptions;
struct CustomOpDomain;
struct KernelInfo;
struct KernelContext;
struct Value;
struct TensorInfo;
struct ShapeContext;
struct OpAttribute;

using Api = const void*;  // the table

// Numbers of entries.
enum class Entry : std::size_t {
  kCreateStatus = 0,
  kCreateCustomOpDomain = 26,
  kCustomOpDomainAdd = 27,
  kAddCustomOpDomain = 28,
  kGetTensorMutableData = 51,
  kCreateTensorInfo = 57,
  kSetElementType = 58,
  kSetDimensions = 59,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetSymbolicDimensions = 63,
  kGetTensorTypeAndShape = 65,
  kInfoGetInt = 86,
  kContextGetInputCount = 88,
  kContextGetInput = 90,
  kContextGetOutput = 91,
  kReleaseStatus = 93,
  kReleaseTensorInfo = 99,
  kInfoGetFloats = 162,
  kInfoGetInts = 163,
  kContextGetGpuStream = 193,
  kInfoGetInputCount = 230,
  kShapeInputCount = 267,
  kShapeInput = 268,
  kShapeAttribute = 269,
  kShapeOutput = 270,
  kSetSymbolicDimensions = 271,
  kReadAttribute = 272,
  kContextParallelFor = 274,
};

struct ApiBase {
  const Api* (*get_api)(std::uint32_t version) noexcept;
  const char* (*version)() noexcept;
};

// An operator as onnxruntime wants it described; the layout is theirs.
struct CustomOp {
  std::uint32_t version;
  void* (*create_kernel)(const CustomOp*, const Api*, const KernelInfo*);
  const char* (*name)(const CustomOp*);
  const char* (*provider)(const CustomOp*);
  ElementType (*input_type)(const CustomOp*, std::size_t);
  std::size_t (*input_count)(const CustomOp*);
  ElementType (*output_type)(const CustomOp*, std::size_t);
  std::size_t (*output_count)(const CustomOp*);
  void (*compute)(void*, KernelContext*);
  void (*destroy)(void*);
  Characteristic (*input_characteristic)(const CustomOp*, std::size_t);
  Characteristic (*output_characteristic)(const CustomOp*, std::size_t);
  MemoryType (*input_memory)(const CustomOp*, std::size_t);
  int (*variadic_input_minimum)(const CustomOp*);
  int (*variadic_input_homogeneous)(const CustomOp*);
  int (*variadic_output_minimum)(const CustomOp*);
  int (*variadic_output_homogeneous)(const CustomOp*);
  Status* (*create_kernel_v2)(const CustomOp*, const Api*, const KernelInfo*, void**);
  Status* (*compute_v2)(void*, KernelContext*);
  Status* (*infer_shape)(const CustomOp*, ShapeContext*);
  int (*start_version)(const CustomOp*);
  int (*end_version)(const CustomOp*);
  std::size_t (*may_inplace)(int**, int**);
  void (*release_may_inplace)(int*, int*);
  std::size_t (*alias_map)(int**, int**);
  void (*release_alias_map)(int*, int*);
};

// Calls an entry: call<Status*(const Value*, TensorInfo**)>(api, Entry::kGetTensorTypeAndShape,
// value, &info).
template <class Function, class... Arguments>
auto call(const Api* api, Entry entry, Arguments... arguments) {
  return reinterpret_cast<Function*>(const_cast<void*>(api[static_cast<std::size_t>(entry)]))(
      arguments...);
}

}  // namespace onnxplain::ort

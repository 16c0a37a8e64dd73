// onnxruntime's calls as C++: what fails is thrown, and thrown things become statuses again at the
// border.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "ort_ops/ort_api.hpp"

namespace onnxplain::ort {

// A status of onnxruntime's on its way up.
struct Failed {
  Status* status;
};

inline void check(Status* status) {
  if (status != nullptr) {
    throw Failed{status};
  }
}

// Runs something, and returns what it throws as a status: nothing may be thrown through
// onnxruntime.
template <class Body>
Status* guarded(const Api* api, const Body& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const Failed& failed) {
    return failed.status;
  } catch (const std::exception& error) {
    return call<Status*(int, const char*)>(api, Entry::kCreateStatus, int{kInvalidArgument},
                                           error.what());
  } catch (...) {
    return call<Status*(int, const char*)>(api, Entry::kCreateStatus, int{kFail}, "unknown error");
  }
}

// The attributes of a node.
class Info {
 public:
  Info(const Api* api, const KernelInfo* info) : api_(api), info_(info) {}

  std::size_t input_count() const {
    std::size_t count = 0;
    check(call<Status*(const KernelInfo*, std::size_t*)>(api_, Entry::kInfoGetInputCount, info_,
                                                         &count));
    return count;
  }
  std::vector<std::int64_t> ints(const char* name) const {
    return list<std::int64_t>(Entry::kInfoGetInts, name);
  }
  // A number that may be left out.
  std::int64_t integer(const char* name, std::int64_t otherwise) const {
    std::int64_t value = otherwise;
    Status* status = call<Status*(const KernelInfo*, const char*, std::int64_t*)>(
        api_, Entry::kInfoGetInt, info_, name, &value);
    if (status != nullptr) {
      call<void(Status*)>(api_, Entry::kReleaseStatus, status);
      return otherwise;
    }
    return value;
  }
  std::vector<float> floats(const char* name) const {
    return list<float>(Entry::kInfoGetFloats, name);
  }

 private:
  template <class T>
  std::vector<T> list(Entry entry, const char* name) const {
    using Get = Status*(const KernelInfo*, const char*, T*, std::size_t*);
    std::size_t size = 0;
    check(call<Get>(api_, entry, info_, name, static_cast<T*>(nullptr), &size));
    std::vector<T> values(size);
    check(call<Get>(api_, entry, info_, name, values.data(), &size));
    return values;
  }

  const Api* api_;
  const KernelInfo* info_;
};

// The inputs and outputs of one run.
class Context {
 public:
  Context(const Api* api, KernelContext* context) : api_(api), context_(context) {}

  std::size_t input_count() const {
    std::size_t count = 0;
    check(call<Status*(const KernelContext*, std::size_t*)>(api_, Entry::kContextGetInputCount,
                                                            context_, &count));
    return count;
  }
  const Value* input(std::size_t which) const {
    const Value* value = nullptr;
    check(call<Status*(const KernelContext*, std::size_t, const Value**)>(
        api_, Entry::kContextGetInput, context_, which, &value));
    return value;
  }
  std::vector<std::int64_t> shape(const Value* value) const {
    TensorInfo* info = nullptr;
    check(call<Status*(const Value*, TensorInfo**)>(api_, Entry::kGetTensorTypeAndShape, value,
                                                    &info));
    std::size_t rank = 0;
    Status* status = call<Status*(const TensorInfo*, std::size_t*)>(
        api_, Entry::kGetDimensionsCount, info, &rank);
    std::vector<std::int64_t> dims(status == nullptr ? rank : 0);
    if (status == nullptr) {
      status = call<Status*(const TensorInfo*, std::int64_t*, std::size_t)>(
          api_, Entry::kGetDimensions, info, dims.data(), rank);
    }
    call<void(TensorInfo*)>(api_, Entry::kReleaseTensorInfo, info);
    check(status);
    return dims;
  }
  // The elements of a tensor of Ts.
  template <class T>
  const T* elements(const Value* value) const {
    return data<T>(const_cast<Value*>(value));
  }
  const float* floats(const Value* value) const { return elements<float>(value); }
  const std::int64_t* ints(const Value* value) const { return elements<std::int64_t>(value); }
  template <class T = float>
  T* output(const std::vector<std::int64_t>& shape) const {
    Value* value = nullptr;
    check(call<Status*(KernelContext*, std::size_t, const std::int64_t*, std::size_t, Value**)>(
        api_, Entry::kContextGetOutput, context_, std::size_t{0}, shape.data(), shape.size(),
        &value));
    return data<T>(value);
  }
  // The CUDA stream of this run.
  void* gpu_stream() const {
    void* stream = nullptr;
    check(call<Status*(const KernelContext*, void**)>(api_, Entry::kContextGetGpuStream, context_,
                                                      &stream));
    return stream;
  }
  // Calls body(user, k) for k < total on the session's own threads.
  void parallel_for(void (*body)(void*, std::size_t), std::size_t total, void* user) const {
    using Body = void (*)(void*, std::size_t);
    check(call<Status*(const KernelContext*, Body, std::size_t, std::size_t, void*)>(
        api_, Entry::kContextParallelFor, context_, body, total, std::size_t{0}, user));
  }

 private:
  template <class T>
  T* data(Value* value) const {
    void* found = nullptr;
    check(call<Status*(Value*, void**)>(api_, Entry::kGetTensorMutableData, value, &found));
    return static_cast<T*>(found);
  }

  const Api* api_;
  KernelContext* context_;
};

}  // namespace onnxplain::ort

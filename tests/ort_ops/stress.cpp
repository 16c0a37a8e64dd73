// Runs the operators without onnxruntime, from several threads, for the sanitizers: a table of
// functions stands for its interface, and checks what is asked of it.
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "ort_ops/elementwise_op.hpp"

using namespace onnxplain::ort;

namespace {

struct FakeValue {
  std::vector<std::int64_t> shape;
  std::vector<float> data;
};
struct FakeInfo {
  std::size_t inputs;
  std::vector<std::int64_t> program;
  std::vector<float> constants;
  std::int64_t block = 0;
};
struct FakeContext {
  std::vector<FakeValue> inputs;
  FakeValue output;
};

void expect(bool right, const char* what) {
  if (!right) {
    std::fprintf(stderr, "wrong: %s\n", what);
    std::exit(1);
  }
}

template <class T>
Status* list(const std::vector<T>& from, T* to, std::size_t* size) {
  if (to != nullptr) {
    expect(*size == from.size(), "room for an attribute");
    std::copy(from.begin(), from.end(), to);
  }
  *size = from.size();
  return nullptr;
}

template <class Function>
void set(std::array<Api, 300>& table, Entry entry, Function* function) {
  table[static_cast<std::size_t>(entry)] = reinterpret_cast<const void*>(function);
}

const Api* fake() {
  static const std::array<Api, 300> table = [] {
    std::array<Api, 300> made{};
    set(
        made, Entry::kCreateStatus,
        +[](int, const char* text) { return reinterpret_cast<Status*>(new std::string(text)); });
    set(
        made, Entry::kInfoGetInputCount,
        +[](const KernelInfo* info, std::size_t* count) -> Status* {
          *count = reinterpret_cast<const FakeInfo*>(info)->inputs;
          return nullptr;
        });
    set(
        made, Entry::kReleaseStatus,
        +[](Status* status) { delete reinterpret_cast<std::string*>(status); });
    set(
        made, Entry::kInfoGetInt,
        +[](const KernelInfo* info, const char* name, std::int64_t* to) -> Status* {
          expect(std::strcmp(name, "block") == 0, "name of a number");
          const std::int64_t block = reinterpret_cast<const FakeInfo*>(info)->block;
          if (block == 0) {
            return reinterpret_cast<Status*>(new std::string("no such attribute"));
          }
          *to = block;
          return nullptr;
        });
    set(
        made, Entry::kInfoGetInts,
        +[](const KernelInfo* info, const char* name, std::int64_t* to, std::size_t* size) {
          expect(std::strcmp(name, "program") == 0, "name of ints");
          return list(reinterpret_cast<const FakeInfo*>(info)->program, to, size);
        });
    set(
        made, Entry::kInfoGetFloats,
        +[](const KernelInfo* info, const char* name, float* to, std::size_t* size) {
          expect(std::strcmp(name, "constants") == 0, "name of floats");
          return list(reinterpret_cast<const FakeInfo*>(info)->constants, to, size);
        });
    set(
        made, Entry::kContextGetInputCount,
        +[](const KernelContext* context, std::size_t* count) -> Status* {
          *count = reinterpret_cast<const FakeContext*>(context)->inputs.size();
          return nullptr;
        });
    set(
        made, Entry::kContextGetInput,
        +[](const KernelContext* context, std::size_t which, const Value** value) -> Status* {
          *value = reinterpret_cast<const Value*>(
              &reinterpret_cast<const FakeContext*>(context)->inputs.at(which));
          return nullptr;
        });
    set(
        made, Entry::kContextGetOutput,
        +[](KernelContext* context, std::size_t which, const std::int64_t* dims, std::size_t rank,
            Value** value) -> Status* {
          expect(which == 0, "the only output");
          FakeValue& output = reinterpret_cast<FakeContext*>(context)->output;
          output.shape.assign(dims, dims + rank);
          std::size_t size = 1;
          for (const std::int64_t d : output.shape) {
            size *= static_cast<std::size_t>(d);
          }
          output.data.assign(size, NAN);
          *value = reinterpret_cast<Value*>(&output);
          return nullptr;
        });
    set(
        made, Entry::kGetTensorTypeAndShape, +[](const Value* value, TensorInfo** info) -> Status* {
          *info = reinterpret_cast<TensorInfo*>(
              new FakeValue{reinterpret_cast<const FakeValue*>(value)->shape, {}});
          return nullptr;
        });
    set(
        made, Entry::kReleaseTensorInfo,
        +[](TensorInfo* info) { delete reinterpret_cast<FakeValue*>(info); });
    set(
        made, Entry::kGetDimensionsCount,
        +[](const TensorInfo* info, std::size_t* count) -> Status* {
          *count = reinterpret_cast<const FakeValue*>(info)->shape.size();
          return nullptr;
        });
    set(
        made, Entry::kGetDimensions,
        +[](const TensorInfo* info, std::int64_t* to, std::size_t rank) -> Status* {
          const auto& shape = reinterpret_cast<const FakeValue*>(info)->shape;
          expect(rank == shape.size(), "room for a shape");
          std::copy(shape.begin(), shape.end(), to);
          return nullptr;
        });
    set(
        made, Entry::kGetTensorMutableData, +[](Value* value, void** data) -> Status* {
          *data = reinterpret_cast<FakeValue*>(value)->data.data();
          return nullptr;
        });
    set(
        made, Entry::kContextParallelFor,
        +[](const KernelContext*, void (*body)(void*, std::size_t), std::size_t total, std::size_t,
            void* user) -> Status* {
          std::vector<std::thread> threads;
          for (std::size_t part = 0; part < 3; ++part) {
            threads.emplace_back([=] {
              for (std::size_t k = part; k < total; k += 3) {
                body(user, k);
              }
            });
          }
          for (std::thread& thread : threads) {
            thread.join();
          }
          return nullptr;
        });
    return made;
  }();
  return table.data();
}

std::string text_of(Status* status) {
  auto* text = reinterpret_cast<std::string*>(status);
  const std::string found = *text;
  delete text;
  return found;
}

FakeValue filled(std::vector<std::int64_t> shape, float start) {
  std::size_t size = 1;
  for (const std::int64_t d : shape) {
    size *= static_cast<std::size_t>(d);
  }
  FakeValue made{std::move(shape), std::vector<float>(size)};
  for (std::size_t k = 0; k < size; ++k) {
    made.data[k] = start + static_cast<float>(k % 97);
  }
  return made;
}

}  // namespace

int main() {
  const CustomOp& op = elementwise_op();
  expect(std::strcmp(op.name(&op), "Elementwise") == 0, "name");
  // where(x > y, x / (y + 2), abs(x) - y): several buffers are used again.
  const FakeInfo info{
      2, {10, 0, 1, -1, 0, 1, 2, -1, 3, 0, 4, -1, 5, 0, -1, -1, 1, 6, 1, -1, 18, 3, 5, 7}, {2.0f}};
  void* kernel = nullptr;
  expect(op.create_kernel_v2(&op, fake(), reinterpret_cast<const KernelInfo*>(&info), &kernel) ==
             nullptr,
         "kernel");

  const std::vector<std::array<std::vector<std::int64_t>, 2>> shapes = {
      {{{3, 70001}, {70001}}}, {{{5, 1, 7}, {1, 6, 1}}},     {{{}, {}}},
      {{{0, 4}, {4}}},         {{{2, 3, 1}, {1, 1, 90000}}},
  };
  std::vector<std::thread> threads;
  for (int caller = 0; caller < 3; ++caller) {
    threads.emplace_back([&] {
      for (const auto& [a, b] : shapes) {
        FakeContext context{{filled(a, -40.0f), filled(b, 1.0f)}, {}};
        expect(op.compute_v2(kernel, reinterpret_cast<KernelContext*>(&context)) == nullptr, "run");
        for (const float value : context.output.data) {
          expect(!std::isnan(value), "all elements are written");
        }
        if (a.size() == 2 && !context.output.data.empty()) {
          const FakeValue& x = context.inputs[0];
          const FakeValue& y = context.inputs[1];
          for (std::size_t k = 0; k < x.data.size(); ++k) {
            const float u = x.data[k];
            const float v = y.data[k % y.data.size()];
            expect(context.output.data[k] == (u > v ? u / (v + 2.0f) : std::fabs(u) - v),
                   "numbers");
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  FakeContext unfit{{filled({3}, 0.0f), filled({4}, 0.0f)}, {}};
  Status* status = op.compute_v2(kernel, reinterpret_cast<KernelContext*>(&unfit));
  expect(status != nullptr && text_of(status).find("does not broadcast") != std::string::npos,
         "unfit shapes");
  op.destroy(kernel);

  const FakeInfo wrong{1, {0, 0, 5, -1}, {}};
  status = op.create_kernel_v2(&op, fake(), reinterpret_cast<const KernelInfo*>(&wrong), &kernel);
  expect(status != nullptr && text_of(status).find("not there") != std::string::npos,
         "a wrong program");
  std::puts("clean");
}

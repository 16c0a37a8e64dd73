// An operator from a class, for those with one output.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <numeric>
#include <optional>
#include <type_traits>

#include "kernels/half.hpp"
#include "ort_ops/context.hpp"
#include "ort_ops/shapes.hpp"

namespace onnxplain::ort {

// The type of tensors of Ts, and which of two operators is theirs: types have operators of their
// own, since onnxruntime finds the type of an output by the operator alone.
template <class T>
inline constexpr bool kIsHalf = std::is_same_v<T, Half>;
template <class T>
inline constexpr ElementType kElement = kIsHalf<T> ? kFloat16 : kFloat;
template <class T>
constexpr const char* named(const char* plain, const char* of_halves) {
  return kIsHalf<T> ? of_halves : plain;
}

// Describes a class to onnxruntime. It has
//   kName; kInputs, the types of inputs, the first kRequiredInputs of which must be there;
//   Kernel(const Info&): reads the attributes; void compute(const Context&) const;
// and may have
//   kIsVariadic: its only input stands for any number of such;
//   kOutput, the type of the output, if not float32; kProvider, if not the CPU's;
//   static std::optional<Lengths> shape(const Shapes&): the output's shape, where it is sure;
//   kMayReplace: how many inputs, from the first on, the output may take the place of, where nobody
//   else reads them and onnxruntime knows that they have the same shape: compute must read what it
//   needs of such an input's element before it writes the output's.
//   kOnHost, which of its inputs lies in the host's memory wherever it runs.
template <class Kernel>
CustomOp described() {
  struct Held {
    const Api* api;
    Kernel kernel;
  };
  CustomOp op{};
  op.version = kApiVersion;
  op.name = [](const CustomOp*) { return Kernel::kName; };
  op.provider = [](const CustomOp*) {
    if constexpr (requires { Kernel::kProvider; }) {
      return Kernel::kProvider;
    } else {
      return "CPUExecutionProvider";
    }
  };
  op.input_type = [](const CustomOp*, std::size_t which) { return Kernel::kInputs[which]; };
  op.input_count = [](const CustomOp*) { return std::size(Kernel::kInputs); };
  op.output_type = [](const CustomOp*, std::size_t) {
    if constexpr (requires { Kernel::kOutput; }) {
      return Kernel::kOutput;
    } else {
      return kFloat;
    }
  };
  op.output_count = [](const CustomOp*) { return std::size_t{1}; };
  op.destroy = [](void* held) { delete static_cast<Held*>(held); };
  op.input_characteristic = [](const CustomOp*, std::size_t which) {
    if constexpr (requires { Kernel::kIsVariadic; }) {
      return kVariadic;
    } else {
      return which < Kernel::kRequiredInputs ? kRequired : kOptional;
    }
  };
  op.output_characteristic = [](const CustomOp*, std::size_t) { return kRequired; };
  op.input_memory = [](const CustomOp*, [[maybe_unused]] std::size_t which) {
    if constexpr (requires { Kernel::kOnHost; }) {
      return which == Kernel::kOnHost ? kHostMemory : kDefaultMemory;
    } else {
      return kDefaultMemory;
    }
  };
  op.variadic_input_minimum = [](const CustomOp*) { return 1; };
  op.variadic_input_homogeneous = [](const CustomOp*) { return 1; };
  op.variadic_output_minimum = [](const CustomOp*) { return 1; };
  op.variadic_output_homogeneous = [](const CustomOp*) { return 1; };
  op.create_kernel_v2 = [](const CustomOp*, const Api* api, const KernelInfo* raw, void** held) {
    return guarded(api, [&] { *held = new Held{api, Kernel(Info(api, raw))}; });
  };
  op.compute_v2 = [](void* raw, KernelContext* context) {
    const auto& held = *static_cast<const Held*>(raw);
    return guarded(held.api, [&] { held.kernel.compute(Context(held.api, context)); });
  };
  if constexpr (requires(const Shapes& shapes) { Kernel::shape(shapes); }) {
    op.infer_shape = [](const CustomOp* own, ShapeContext* context) {
      return guarded(Shapes::api, [&] {
        const Shapes shapes(context);
        if (const std::optional<Lengths> shape = Kernel::shape(shapes)) {
          shapes.output(*shape, own->output_type(own, 0));
        }
      });
    };
  }
  if constexpr (requires { Kernel::kMayReplace; }) {
    op.may_inplace = [](int** inputs, int** outputs) {
      static std::array<int, Kernel::kMayReplace> each = [] {
        std::array<int, Kernel::kMayReplace> made{};
        std::iota(made.begin(), made.end(), 0);
        return made;
      }();
      static std::array<int, Kernel::kMayReplace> first{};
      *inputs = each.data();
      *outputs = first.data();
      return each.size();
    };
    op.release_may_inplace = [](int*, int*) {};
  }
  op.start_version = [](const CustomOp*) { return 1; };
  op.end_version = [](const CustomOp*) { return 1; };
  return op;
}

// Calls body(begin, end) on ranges of `grain` items that together cover [0, total), on the
// session's own threads. The body must not depend on the range.
template <class Body>
void over_ranges(const Context& context, std::int64_t total, std::int64_t grain, const Body& body) {
  struct Work {
    const Body& body;
    std::int64_t total;
    std::int64_t grain;
    std::atomic<bool> failed{false};

    void task(std::size_t which) noexcept {
      try {
        const std::int64_t begin = static_cast<std::int64_t>(which) * grain;
        body(begin, begin + (total - begin < grain ? total - begin : grain));
      } catch (const std::exception&) {  // no memory is left
        failed = true;
      }
    }
  };
  if (total <= 0) {
    return;
  }
  Work work{body, total, grain < 1 ? 1 : grain};
  const auto tasks = static_cast<std::size_t>((total + work.grain - 1) / work.grain);
  if (tasks == 1) {
    work.task(0);
  } else {
    context.parallel_for([](void* all, std::size_t which) { static_cast<Work*>(all)->task(which); },
                         tasks, &work);
  }
  if (work.failed) {
    throw std::bad_alloc();
  }
}

// Numbers for one task of a thread: some ten microseconds of work.
inline constexpr std::int64_t kTask = std::int64_t{1} << 14;

}  // namespace onnxplain::ort

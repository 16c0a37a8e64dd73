#include "ort_ops/elementwise_op.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <numeric>

#include "kernels/elementwise.hpp"
#include "ort_ops/context.hpp"

namespace onnxplain::ort {
namespace {

// Elements for one task of a thread: some ten microseconds of work.
constexpr std::int64_t kTask = 16 * cpu::kBlock;

struct Kernel {
  const Api* api;
  ElementwiseProgram program;
};

struct Work {
  const Kernel* kernel;
  std::vector<Operand> operands;
  float* out;
  std::int64_t total;
  std::atomic<bool> failed{false};

  void task(std::size_t which) noexcept {
    try {
      cpu::Scratch scratch(kernel->program, operands.size());
      const std::int64_t begin = static_cast<std::int64_t>(which) * kTask;
      cpu::run(kernel->program, operands, out, begin, std::min(begin + kTask, total), scratch);
    } catch (const std::exception&) {  // no memory is left
      failed = true;
    }
  }
};

void compute(const Kernel& kernel, const Context& context) {
  const std::size_t count = context.input_count();
  std::vector<std::vector<std::int64_t>> shapes;
  std::vector<const Value*> values;
  for (std::size_t k = 0; k < count; ++k) {
    values.push_back(context.input(k));
    shapes.push_back(context.shape(values.back()));
  }
  const std::vector<std::int64_t> result = broadcast(shapes);
  Work work{&kernel, {}, context.output(result), 1, {}};
  work.total = std::accumulate(result.begin(), result.end(), std::int64_t{1}, std::multiplies<>());
  if (work.total == 0) {
    return;
  }
  for (std::size_t k = 0; k < count; ++k) {
    work.operands.push_back(operand(context.floats(values[k]), shapes[k], result));
  }
  const auto tasks = static_cast<std::size_t>((work.total + kTask - 1) / kTask);
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

CustomOp make() {
  CustomOp op{};
  op.version = kApiVersion;
  op.name = [](const CustomOp*) { return "Elementwise"; };
  op.provider = [](const CustomOp*) { return "CPUExecutionProvider"; };
  op.input_type = [](const CustomOp*, std::size_t) { return kFloat; };
  op.input_count = [](const CustomOp*) { return std::size_t{1}; };
  op.output_type = [](const CustomOp*, std::size_t) { return kFloat; };
  op.output_count = [](const CustomOp*) { return std::size_t{1}; };
  op.destroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  op.input_characteristic = [](const CustomOp*, std::size_t) { return kVariadic; };
  op.output_characteristic = [](const CustomOp*, std::size_t) { return kRequired; };
  op.input_memory = [](const CustomOp*, std::size_t) { return kDefaultMemory; };
  op.variadic_input_minimum = [](const CustomOp*) { return 1; };
  op.variadic_input_homogeneous = [](const CustomOp*) { return 1; };
  op.variadic_output_minimum = [](const CustomOp*) { return 1; };
  op.variadic_output_homogeneous = [](const CustomOp*) { return 1; };
  op.create_kernel_v2 = [](const CustomOp*, const Api* api, const KernelInfo* raw, void** kernel) {
    return guarded(api, [&] {
      const Info info(api, raw);
      *kernel = new Kernel{api, ElementwiseProgram(static_cast<std::int64_t>(info.input_count()),
                                                   info.ints("program"), info.floats("constants"))};
    });
  };
  op.compute_v2 = [](void* raw, KernelContext* context) {
    const auto& kernel = *static_cast<const Kernel*>(raw);
    return guarded(kernel.api, [&] { compute(kernel, Context(kernel.api, context)); });
  };
  op.start_version = [](const CustomOp*) { return 1; };
  op.end_version = [](const CustomOp*) { return 1; };
  return op;
}

}  // namespace

const CustomOp& elementwise_op() {
  static const CustomOp op = make();
  return op;
}

}  // namespace onnxplain::ort

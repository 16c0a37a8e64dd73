#include <algorithm>
#include <string>
#include <vector>

#include "kernels/elementwise.hpp"
#include "kernels/row_backward.hpp"
#include "ort_ops/cuda.hpp"
#include "ort_ops/row_ops.hpp"
#include "ort_ops/row_shared.hpp"

namespace onnxplain::ort {
namespace {

// What is the same for all that goes over the rows of the first input.
cuda::RowLaunch launch_of(const Context& context, std::size_t axes, const char* name) {
  const std::vector<std::int64_t> shape = context.shape(context.input(0));
  const Rows rows = rows_of(shape, axes, name);
  const Value* g = context.input(1);
  const std::vector<std::int64_t> own = context.shape(g);
  check_arriving(own, shape, name);
  const Operand<float> arriving = operand(context.floats(g), own, shape);
  const std::size_t rank = arriving.lengths.size();
  require(rank <= cuda::kMostRowAxes,
          std::string(name) + ": the gradient is repeated along too many axes for a GPU");
  cuda::RowLaunch launch{};
  launch.x = context.floats(context.input(0));
  launch.g = arriving.data;
  launch.dx = context.output(shape);
  launch.rows = rows.count;
  launch.size = rows.size;
  launch.rank = static_cast<std::int32_t>(rank);
  launch.repeated = rank > 0 && arriving.strides.back() == 0;
  std::copy(arriving.lengths.begin(), arriving.lengths.end(), launch.length);
  return launch;
}

class SoftmaxOnCuda : public Softmax {
 public:
  static constexpr const char* kProvider = kCuda;
  using Softmax::Softmax;

  void compute(const Context& context) const {
    const cuda::RowLaunch launch = launch_of(context, 1, kName);
    require_success(cuda::softmax_backward(launch, stream_of(context)), kName);
  }
};

class NormOnCuda : public Norm {
 public:
  static constexpr const char* kProvider = kCuda;
  using Norm::Norm;

  void compute(const Context& context) const {
    cuda::RowLaunch launch = launch_of(context, axes, kName);
    launch.norm = norm;
    const Value* scale = context.input_count() > 2 ? context.input(2) : nullptr;
    if (scale != nullptr) {
      launch.one_scale = is_one(context.shape(scale), {launch.rows, launch.size});
      launch.scale = context.floats(scale);
    }
    require_success(cuda::norm_backward(launch, stream_of(context)), kName);
  }
};

}  // namespace

const CustomOp& softmax_backward_cuda_op() {
  static const CustomOp op = described<SoftmaxOnCuda>();
  return op;
}

const CustomOp& norm_backward_cuda_op() {
  static const CustomOp op = described<NormOnCuda>();
  return op;
}

}  // namespace onnxplain::ort

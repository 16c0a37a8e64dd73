#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/row_threads.hpp"
#include "ort_ops/arriving_cuda.hpp"
#include "ort_ops/row_ops.hpp"
#include "ort_ops/row_shared.hpp"

namespace onnxplain::ort {
namespace {

// What is the same for all that goes over the rows of the first input.
template <class T>
void fill(threads::RowLaunch<T>& launch, const Context& context, std::size_t axes,
          const char* name) {
  const std::vector<std::int64_t> shape = context.shape(context.input(0));
  const Rows rows = rows_of(shape, axes, name);
  launch.x = context.elements<T>(context.input(0));
  launch.g = arriving<T>(context, context.input(1), shape, launch.length, name);
  launch.dx = context.output<T>(shape);
  launch.rows = rows.count;
  launch.size = rows.size;
}

template <class T>
class SoftmaxOnCuda : public Softmax<T> {
 public:
  static constexpr const char* kProvider = kCuda;
  using Softmax<T>::Softmax;

  void compute(const Context& context) const {
    threads::SoftmaxLaunch<T> launch{};
    fill(launch, context, 1, this->kName);
    require_success(cuda::softmax_backward(launch, stream_of(context)), this->kName);
  }
};

template <class T>
class NormOnCuda : public Norm<T> {
 public:
  static constexpr const char* kProvider = kCuda;
  using Norm<T>::Norm;

  void compute(const Context& context) const {
    threads::NormLaunch<T> launch{};
    fill(launch, context, this->axes, this->kName);
    launch.norm = this->norm;
    const Value* scale = context.input_count() > 2 ? context.input(2) : nullptr;
    if (scale != nullptr) {
      launch.one_scale = Norm<T>::is_one(context.shape(scale), {launch.rows, launch.size});
      launch.scale = context.elements<T>(scale);
    }
    require_success(cuda::norm_backward(launch, stream_of(context)), this->kName);
  }
};

}  // namespace

const CustomOp& softmax_backward_cuda_op() {
  static const CustomOp op = described<SoftmaxOnCuda<float>>();
  return op;
}

const CustomOp& softmax_backward_float16_cuda_op() {
  static const CustomOp op = described<SoftmaxOnCuda<Half>>();
  return op;
}

const CustomOp& norm_backward_cuda_op() {
  static const CustomOp op = described<NormOnCuda<float>>();
  return op;
}

const CustomOp& norm_backward_float16_cuda_op() {
  static const CustomOp op = described<NormOnCuda<Half>>();
  return op;
}

}  // namespace onnxplain::ort

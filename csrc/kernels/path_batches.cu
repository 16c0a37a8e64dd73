#include "kernels/launch.cuh"
#include "kernels/path_batches.hpp"
#include "onnxplain/normal.hpp"

namespace onnxplain::cuda {
namespace {

// Grids are at most this high; a kernel loops over the samples beyond.
constexpr std::int64_t kMaxGridHeight = 65535;

// One thread holds the two ends of one element and writes it at every step.
template <class T>
__global__ void interpolate_kernel(Interpolate<T> op) {
  const std::int64_t rows = op.end.shape[0];
  const std::int64_t cols = op.end.shape[1];
  const std::int64_t steps = op.alphas.shape[0];
  for (std::int64_t i = first_item(); i < rows * cols; i += item_stride()) {
    const std::int64_t n = i / cols;
    const std::int64_t d = i - n * cols;
    const T from = op.start.row(n)[d];
    const T span = op.end.row(n)[d] - from;
    for (std::int64_t s = 0; s < steps; ++s) {
      op.out.data[s * rows * cols + i] = from + op.alphas[s] * span;
    }
  }
}

// One thread sums one element over the steps, in their order.
template <class Acc, class T>
__global__ void accumulate_kernel(Accumulate<Acc, T> op) {
  const std::int64_t total = op.acc.size();
  const std::int64_t steps = op.weights.shape[0];
  for (std::int64_t i = first_item(); i < total; i += item_stride()) {
    Acc sum = op.acc.data[i];
    for (std::int64_t s = 0; s < steps; ++s) {
      sum += op.weights[s] * static_cast<Acc>(op.grads.data[s * total + i]);
    }
    op.acc.data[i] = sum;
  }
}

// One thread makes the four normals of one Philox block.
template <class T>
__global__ void noise_kernel(Noise<T> op, std::int64_t samples) {
  const std::int64_t rows = op.x.shape[0];
  const std::int64_t cols = op.x.shape[1];
  const std::int64_t blocks = (cols + 3) / 4;
  for (std::int64_t s = blockIdx.y; s < samples; s += gridDim.y) {
    for (std::int64_t i = first_item(); i < rows * blocks; i += item_stride()) {
      const std::int64_t n = i / blocks;
      const std::int64_t block = i - n * blocks;
      const PhiloxWords random = philox4x32({{static_cast<std::uint32_t>(block), op.substream,
                                              op.first_row + static_cast<std::uint32_t>(n),
                                              op.first_sample + static_cast<std::uint32_t>(s)}},
                                            op.seed);
      T z[4];
      box_muller(random.word[0], random.word[1], z[0], z[1]);
      box_muller(random.word[2], random.word[3], z[2], z[3]);
      const T* x = op.x.row(n);
      T* out = op.out.row(s * rows + n);
      const T stdev = static_cast<T>(op.stdev[n]);
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const std::int64_t d = 4 * block + k;
        if (d < cols) {
          out[d] = x[d] + stdev * z[k];
        }
      }
    }
  }
}

}  // namespace

template <class T>
cudaError_t interpolate(const Interpolate<T>& op, cudaStream_t stream) {
  if (op.out.size() == 0) {
    return cudaSuccess;
  }
  interpolate_kernel<<<blocks_for(op.end.size()), kThreads, 0, stream>>>(op);
  return cudaGetLastError();
}

template <class Acc, class T>
cudaError_t accumulate(const Accumulate<Acc, T>& op, cudaStream_t stream) {
  if (op.grads.size() == 0) {
    return cudaSuccess;
  }
  accumulate_kernel<<<blocks_for(op.acc.size()), kThreads, 0, stream>>>(op);
  return cudaGetLastError();
}

template <class T>
cudaError_t noise(const Noise<T>& op, cudaStream_t stream) {
  if (op.out.size() == 0) {
    return cudaSuccess;
  }
  const std::int64_t samples = op.out.shape[0] / op.x.shape[0];
  const std::int64_t items = op.x.shape[0] * ((op.x.shape[1] + 3) / 4);
  const dim3 grid(blocks_for(items), static_cast<unsigned int>(std::min(samples, kMaxGridHeight)));
  noise_kernel<<<grid, kThreads, 0, stream>>>(op, samples);
  return cudaGetLastError();
}

template cudaError_t interpolate(const Interpolate<float>&, cudaStream_t);
template cudaError_t interpolate(const Interpolate<double>&, cudaStream_t);
template cudaError_t accumulate(const Accumulate<float, float>&, cudaStream_t);
template cudaError_t accumulate(const Accumulate<double, float>&, cudaStream_t);
template cudaError_t accumulate(const Accumulate<double, double>&, cudaStream_t);
template cudaError_t noise(const Noise<float>&, cudaStream_t);
template cudaError_t noise(const Noise<double>&, cudaStream_t);

}  // namespace onnxplain::cuda

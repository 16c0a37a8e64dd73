#include "kernels/launch.cuh"
#include "kernels/tree_paths.hpp"
#include "onnxplain/check.hpp"

namespace onnxplain::cuda {
namespace {

template <class Stage>
__global__ void stage_kernel(Stage stage, std::int64_t items) {
  for (std::int64_t item = first_item(); item < items; item += item_stride()) {
    stage(item);
  }
}

// The device, on its default stream. Copies from and to pageable memory wait for earlier work.
struct Device {
  template <class T>
  T* allocate(std::int64_t size) {
    void* made = nullptr;
    const std::size_t bytes = sizeof(T) * static_cast<std::size_t>(std::max<std::int64_t>(size, 1));
    require_success(cudaMalloc(&made, bytes), "cudaMalloc");
    const cudaError_t status = cudaMemset(made, 0, bytes);
    if (status != cudaSuccess) {
      release(made);
    }
    require_success(status, "cudaMemset");
    return static_cast<T*>(made);
  }

  // Only ever called with what cudaMalloc gave; it may report the failure of earlier work, which
  // the next call reports as well.
  void release(void* pointer) { static_cast<void>(cudaFree(pointer)); }

  template <class T>
  void up(const T* from, T* to, std::int64_t size) {
    copy(from, to, size, cudaMemcpyHostToDevice);
  }
  template <class T>
  void down(const T* from, T* to, std::int64_t size) {
    copy(from, to, size, cudaMemcpyDeviceToHost);
  }

  template <class Stage>
  void run(const Stage& stage) {
    const std::int64_t items = stage.items();
    if (items > 0) {
      stage_kernel<<<blocks_for(items), kThreads>>>(stage, items);
      require_success(cudaGetLastError(), "trees");
    }
  }

 private:
  template <class T>
  static void copy(const T* from, T* to, std::int64_t size, cudaMemcpyKind kind) {
    if (size > 0) {
      require_success(cudaMemcpy(to, from, sizeof(T) * static_cast<std::size_t>(size), kind),
                      "cudaMemcpy");
    }
  }
};

}  // namespace

void tree_values(const Trees& trees, const TreeGame& game, Matrix<const double> x,
                 Matrix<double> out, Pause pause) {
  Device machine;
  paths::tree_values_on(machine, trees, game, x, out, pause);
}

}  // namespace onnxplain::cuda

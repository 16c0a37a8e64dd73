// The Python module onnxplain.kernels._core: with masked_bindings.cpp and tree_bindings.cpp all
// that knows pybind11.
//
// The CPU functions take contiguous NumPy arrays, checked here for shape; the Python face in
// onnxplain/kernels brings any array into that form. The functions of _core.cuda take device
// pointers as integers and trust them.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "array_views.hpp"
#include "kernels/path_batches.hpp"
#include "masked_bindings.hpp"
#include "onnxplain/check.hpp"
#include "onnxplain/normal.hpp"
#include "onnxplain/parallel.hpp"
#include "onnxplain/tensor_view.hpp"
#include "tree_bindings.hpp"

namespace py = pybind11;

namespace onnxplain {
namespace {

template <class T>
void interpolate(const Array<T>& start, const Array<T>& end, const Array<T>& alphas,
                 Array<T>& out) {
  const auto end_view = matrix(end, "end");
  const std::int64_t rows = end_view.shape[0];
  const Interpolate<T> op{broadcast_rows(matrix(start, "start"), rows), end_view,
                          vector(alphas, "alphas"), writable_matrix(out, "out")};
  require_shape(op.start, rows, end_view.shape[1], "start");
  require_shape(op.out, op.alphas.shape[0] * rows, end_view.shape[1], "out");
  const py::gil_scoped_release release;
  cpu::interpolate(op);
}

template <class Acc, class T>
void accumulate(Array<Acc>& acc, const Array<T>& grads, const Array<Acc>& weights) {
  const Accumulate<Acc, T> op{writable_matrix(acc, "acc"), matrix(grads, "grads"),
                              vector(weights, "weights")};
  require_shape(op.grads, op.weights.shape[0] * op.acc.shape[0], op.acc.shape[1], "grads");
  const py::gil_scoped_release release;
  cpu::accumulate(op);
}

template <class T>
void noise(const Array<T>& x, const Array<double>& stdev, std::uint64_t seed,
           std::uint32_t first_sample, std::uint32_t first_row, std::uint32_t substream,
           Array<T>& out) {
  const auto view = matrix(x, "x");
  const std::int64_t rows = view.shape[0];
  const Noise<T> op{view,
                    broadcast_rows(vector(stdev, "stdev"), rows),
                    writable_matrix(out, "out"),
                    seed,
                    first_sample,
                    first_row,
                    substream};
  require(op.stdev.shape[0] == rows, "stdev has the wrong shape");
  require(op.out.shape[1] == view.shape[1] &&
              (rows == 0 ? op.out.shape[0] == 0 : op.out.shape[0] % rows == 0),
          "out has the wrong shape");
  const py::gil_scoped_release release;
  cpu::noise(op);
}

template <class T>
void bind_cpu(py::module_& m) {
  const auto arg = [](const char* name) { return py::arg(name).noconvert(); };
  m.def("interpolate", &interpolate<T>, arg("start"), arg("end"), arg("alphas"), arg("out"));
  m.def("noise", &noise<T>, arg("x"), arg("stdev"), arg("seed"), arg("first_sample"),
        arg("first_row"), arg("substream"), arg("out"));
}

template <class Acc, class T>
void bind_accumulate(py::module_& m) {
  m.def("accumulate", &accumulate<Acc, T>, py::arg("acc").noconvert(), py::arg("grads").noconvert(),
        py::arg("weights").noconvert());
}

// Number of usable GPUs; a missing or too old driver counts as none.
int cuda_device_count() {
  int count = 0;
#ifdef ONNXPLAIN_WITH_CUDA
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());  // Forget the error: it has been answered.
    count = 0;
  }
#endif
  return count;
}

#ifdef ONNXPLAIN_WITH_CUDA
using Pointer = std::uintptr_t;

template <class T>
T* at(Pointer address) {
  return reinterpret_cast<T*>(address);
}

// Calls body with a value of the C++ type that `dtype` names.
template <class Body>
void with_type(const std::string& dtype, const Body& body) {
  if (dtype == "float32") {
    body(float{});
  } else {
    require(dtype == "float64", "dtype must be float32 or float64, not " + dtype);
    body(double{});
  }
}

void bind_cuda(py::module_ m) {
  m.doc() = "Launchers on device pointers; asynchronous on the stream that is given.";
  m.def(
      "interpolate",
      [](Pointer start, std::int64_t start_rows, Pointer end, Pointer alphas, Pointer out,
         std::int64_t rows, std::int64_t cols, std::int64_t steps, const std::string& dtype,
         Pointer stream) {
        require(start_rows == rows || start_rows == 1, "start has the wrong number of rows");
        with_type(dtype, [&]<class T>(T) {
          const Interpolate<T> op{
              broadcast_rows(matrix_view(at<const T>(start), start_rows, cols), rows),
              matrix_view(at<const T>(end), rows, cols), vector_view(at<const T>(alphas), steps),
              matrix_view(at<T>(out), steps * rows, cols)};
          require_success(cuda::interpolate(op, at<CUstream_st>(stream)), "interpolate");
        });
      },
      py::arg("start"), py::arg("start_rows"), py::arg("end"), py::arg("alphas"), py::arg("out"),
      py::arg("rows"), py::arg("cols"), py::arg("steps"), py::arg("dtype"), py::arg("stream") = 0);
  m.def(
      "accumulate",
      [](Pointer acc, Pointer grads, Pointer weights, std::int64_t rows, std::int64_t cols,
         std::int64_t steps, const std::string& acc_dtype, const std::string& dtype,
         Pointer stream) {
        const auto launch = [&]<class Acc, class T>(Acc, T) {
          const Accumulate<Acc, T> op{matrix_view(at<Acc>(acc), rows, cols),
                                      matrix_view(at<const T>(grads), steps * rows, cols),
                                      vector_view(at<const Acc>(weights), steps)};
          require_success(cuda::accumulate(op, at<CUstream_st>(stream)), "accumulate");
        };
        with_type(dtype, [&]<class T>(T value) {
          if (acc_dtype == "float64") {
            launch(double{}, value);
          } else {
            require(acc_dtype == dtype, "acc must be float64 or of the dtype of grads");
            launch(value, value);
          }
        });
      },
      py::arg("acc"), py::arg("grads"), py::arg("weights"), py::arg("rows"), py::arg("cols"),
      py::arg("steps"), py::arg("acc_dtype"), py::arg("dtype"), py::arg("stream") = 0);
  m.def(
      "noise",
      [](Pointer x, Pointer stdev, std::int64_t stdev_size, Pointer out, std::int64_t rows,
         std::int64_t cols, std::int64_t samples, std::uint64_t seed, std::uint32_t first_sample,
         std::uint32_t first_row, std::uint32_t substream, const std::string& dtype,
         Pointer stream) {
        require(stdev_size == rows || stdev_size == 1, "stdev has the wrong shape");
        with_type(dtype, [&]<class T>(T) {
          const Noise<T> op{matrix_view(at<const T>(x), rows, cols),
                            broadcast_rows(vector_view(at<const double>(stdev), stdev_size), rows),
                            matrix_view(at<T>(out), samples * rows, cols),
                            seed,
                            first_sample,
                            first_row,
                            substream};
          require_success(cuda::noise(op, at<CUstream_st>(stream)), "noise");
        });
      },
      py::arg("x"), py::arg("stdev"), py::arg("stdev_size"), py::arg("out"), py::arg("rows"),
      py::arg("cols"), py::arg("samples"), py::arg("seed"), py::arg("first_sample"),
      py::arg("first_row"), py::arg("substream"), py::arg("dtype"), py::arg("stream") = 0);

  m.def(
      "to_device",
      [](const py::array& array) {
        require((array.flags() & py::array::c_style) != 0, "the array must be contiguous");
        void* pointer = nullptr;
        const auto bytes = static_cast<std::size_t>(array.nbytes());
        require_success(cudaMalloc(&pointer, bytes == 0 ? 1 : bytes), "cudaMalloc");
        const cudaError_t status = cudaMemcpy(pointer, array.data(), bytes, cudaMemcpyHostToDevice);
        if (status != cudaSuccess) {
          static_cast<void>(cudaFree(pointer));
        }
        require_success(status, "cudaMemcpy");
        return reinterpret_cast<Pointer>(pointer);
      },
      py::arg("array"), "Copy an array into new device memory and return its address.");
  m.def(
      "to_host",
      [](Pointer pointer, py::array& out) {
        require((out.flags() & py::array::c_style) != 0, "the array must be contiguous");
        void* to = out.mutable_data();
        const auto bytes = static_cast<std::size_t>(out.nbytes());
        const py::gil_scoped_release release;
        require_success(cudaMemcpy(to, at<void>(pointer), bytes, cudaMemcpyDeviceToHost),
                        "cudaMemcpy");
      },
      py::arg("pointer"), py::arg("out"), "Copy device memory into an array, after all work.");
  m.def(
      "free", [](Pointer pointer) { require_success(cudaFree(at<void>(pointer)), "cudaFree"); },
      py::arg("pointer"), "Release memory that to_device returned.");
  m.def("synchronize", [] {
    const py::gil_scoped_release release;
    require_success(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  });
  m.def(
      "stream_create",
      [] {
        cudaStream_t stream = nullptr;  // not of the kind that does not wait for the default one
        require_success(cudaStreamCreate(&stream), "cudaStreamCreate");
        return reinterpret_cast<Pointer>(stream);
      },
      "Make a stream that waits for the default one, as that waits for it.");
  m.def(
      "stream_synchronize",
      [](Pointer stream) {
        require_success(cudaStreamSynchronize(at<CUstream_st>(stream)), "cudaStreamSynchronize");
      },
      py::arg("stream"), py::call_guard<py::gil_scoped_release>(), "Wait for a stream's work.");
  m.def(
      "stream_destroy",
      [](Pointer stream) {
        // May fail where the process ends; what failed before is told to who waits for the stream.
        static_cast<void>(cudaStreamDestroy(at<CUstream_st>(stream)));
      },
      py::arg("stream"), "Release a stream, whose work goes on to its end.");
}
#endif

}  // namespace
}  // namespace onnxplain

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
  using namespace onnxplain;
  m.doc() = "The compiled kernels of onnxplain. Use them through onnxplain.kernels.";
  bind_cpu<float>(m);
  bind_cpu<double>(m);
  bind_accumulate<float, float>(m);
  bind_accumulate<double, float>(m);
  bind_accumulate<double, double>(m);
  bind_masked(m);
  bind_trees(m);
  m.def(
      "philox4x32",
      [](std::uint32_t c0, std::uint32_t c1, std::uint32_t c2, std::uint32_t c3,
         std::uint64_t seed) {
        const PhiloxWords x = philox4x32({{c0, c1, c2, c3}}, seed);
        return py::make_tuple(x.word[0], x.word[1], x.word[2], x.word[3]);
      },
      "One block of the random generator, for tests.");
  m.def("num_threads", &max_threads, "Number of threads that a CPU kernel may use.");
  m.def("cuda_device_count", &cuda_device_count, "Number of usable GPUs.");
#ifdef ONNXPLAIN_WITH_CUDA
  m.attr("built_with_cuda") = true;
  bind_cuda(m.def_submodule("cuda"));
#else
  m.attr("built_with_cuda") = false;
#endif
}

// The Python module onnxplain.kernels._core: with the other files of bindings all that knows
// pybind11.
//
// The CPU functions take contiguous NumPy arrays, checked here for shape; the Python face in
// onnxplain/kernels brings any array into that form. The functions of _core.cuda take device
// pointers as integers and trust them; they are in cuda_bindings.cpp.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "array_views.hpp"
#include "cuda_bindings.hpp"
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
           std::uint32_t first_sample, std::uint32_t first_row, std::uint32_t substream, bool alike,
           Array<T>& out) {
  const auto view = matrix(x, "x");
  const std::int64_t rows = view.shape[0];
  const Noise<T> op{view,
                    broadcast_rows(vector(stdev, "stdev"), rows),
                    writable_matrix(out, "out"),
                    seed,
                    first_sample,
                    first_row,
                    substream,
                    alike};
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
        arg("first_row"), arg("substream"), arg("alike"), arg("out"));
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

// The module onnxplain.kernels._core.cuda on the host: its bindings, launchers and threads are
// those of csrc, and the runtime and the grid are stand-ins.
#include <pybind11/pybind11.h>

#include "cuda_bindings.hpp"
#include "cuda_runtime_api.h"

PYBIND11_MODULE(host_cuda, m) {
  onnxplain::bind_cuda(m);
  m.def("flush", &host_cuda::flush, "Do what waits, which a stream would do by itself.");
  m.def("counts", [] {
    const auto& now = host_cuda::counts;
    return pybind11::make_tuple(now.downloads, now.waits, now.live);
  });
}

// The module onnxplain.kernels._core.cuda: kernels on device pointers, which are integers here and
// trusted. The Python face, onnxplain/kernels/cuda_batches.py, checks shapes.
#include "cuda_bindings.hpp"

#include <pybind11/numpy.h>

#include <cstdint>
#include <string>

#include "kernels/masked_batches.hpp"
#include "kernels/moments.hpp"
#include "kernels/path_batches.hpp"
#include "onnxplain/check.hpp"
#include "onnxplain/tensor_view.hpp"
#include "staging.hpp"

namespace py = pybind11;

namespace onnxplain {
namespace {

using Pointer = std::uintptr_t;
using Size = std::int64_t;

template <class T>
T* at(Pointer address) {
  return reinterpret_cast<T*>(address);
}

cudaStream_t stream_at(Pointer address) {
  return at<CUstream_st>(address);
}

template <class T>
Matrix<const T> seen(Pointer address, Size rows, Size cols) {
  return matrix_view(at<const T>(address), rows, cols);
}

template <class T>
Vector<const T> seen(Pointer address, Size size) {
  return vector_view(at<const T>(address), size);
}

// [steps or 1, rows or 1, cols], of which a single one is repeated.
template <class T>
TensorView<const T, 3> repeated(Pointer address, Size own_steps, Size own_rows, Size steps,
                                Size rows, Size cols) {
  return {at<const T>(address),
          {steps, rows, cols},
          {own_steps == 1 ? 0 : own_rows * cols, own_rows == 1 ? 0 : cols, 1}};
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

// Calls body with an unsigned integer of so many bytes.
template <class Body>
void with_word(int bytes, const Body& body) {
  switch (bytes) {
    case 1:
      return body(std::uint8_t{});
    case 2:
      return body(std::uint16_t{});
    case 4:
      return body(std::uint32_t{});
    default:
      require(bytes == 8, "elements must have 1, 2, 4 or 8 bytes");
      return body(std::uint64_t{});
  }
}

void bind_paths(py::module_& m) {
  m.def("interpolate",
        [](Pointer start, Size start_rows, Pointer end, Pointer alphas, Pointer out, Size rows,
           Size cols, Size steps, const std::string& dtype, Pointer stream) {
          with_type(dtype, [&]<class T>(T) {
            const Interpolate<T> op{broadcast_rows(seen<T>(start, start_rows, cols), rows),
                                    seen<T>(end, rows, cols), seen<T>(alphas, steps),
                                    matrix_view(at<T>(out), steps * rows, cols)};
            require_success(cuda::interpolate(op, stream_at(stream)), "interpolate");
          });
        });
  m.def("between", [](Pointer start, Pointer end, Pointer alphas, Pointer out, Size rows, Size cols,
                      Size steps, const std::string& dtype, Pointer stream) {
    with_type(dtype, [&]<class T>(T) {
      const Between<T> op{seen<T>(start, steps * rows, cols), seen<T>(end, steps * rows, cols),
                          seen<T>(alphas, steps), matrix_view(at<T>(out), steps * rows, cols)};
      require_success(cuda::between(op, stream_at(stream)), "between");
    });
  });
  m.def("times_way", [](Pointer values, Pointer start, Pointer end, Pointer out, Size rows,
                        Size cols, const std::string& dtype, Pointer stream) {
    with_type(dtype, [&]<class T>(T) {
      const TimesWay<T> op{seen<T>(values, rows, cols), seen<T>(start, rows, cols),
                           seen<T>(end, rows, cols), matrix_view(at<T>(out), rows, cols)};
      require_success(cuda::times_way(op, stream_at(stream)), "times_way");
    });
  });
  m.def("accumulate", [](Pointer acc, Pointer grads, Pointer weights, Size rows, Size cols,
                         Size steps, const std::string& acc_dtype, const std::string& dtype,
                         Pointer stream) {
    const auto launch = [&]<class Acc, class T>(Acc, T) {
      const Accumulate<Acc, T> op{matrix_view(at<Acc>(acc), rows, cols),
                                  seen<T>(grads, steps * rows, cols), seen<Acc>(weights, steps)};
      require_success(cuda::accumulate(op, stream_at(stream)), "accumulate");
    };
    with_type(dtype, [&]<class T>(T value) {
      if (acc_dtype == "float64") {
        launch(double{}, value);
      } else {
        require(acc_dtype == dtype, "acc must be float64 or of the dtype of grads");
        launch(value, value);
      }
    });
  });
  m.def("noise",
        [](Pointer x, Pointer stdev, Size stdev_size, Pointer out, Size rows, Size cols,
           Size samples, std::uint64_t seed, std::uint32_t first_sample, std::uint32_t first_row,
           std::uint32_t substream, bool alike, const std::string& dtype, Pointer stream) {
          with_type(dtype, [&]<class T>(T) {
            const Noise<T> op{seen<T>(x, rows, cols),
                              broadcast_rows(seen<double>(stdev, stdev_size), rows),
                              matrix_view(at<T>(out), samples * rows, cols),
                              seed,
                              first_sample,
                              first_row,
                              substream,
                              alike};
            require_success(cuda::noise(op, stream_at(stream)), "noise");
          });
        });
  m.def("centre", [](Pointer samples, Pointer first, Pointer out, Size rows, Size cols,
                     const std::string& dtype, Pointer stream) {
    with_type(dtype, [&]<class T>(T) {
      const Centre<T> op{seen<T>(samples, rows, cols), seen<double>(first, cols),
                         matrix_view(at<double>(out), rows, cols)};
      require_success(cuda::centre(op, stream_at(stream)), "centre");
    });
  });
  m.def("add_powers", [](Pointer sums, Size powers, Pointer first, Pointer samples, Size rows,
                         Size cols, bool squared, const std::string& dtype, Pointer stream) {
    require(powers <= kMostPowers, "there are too many powers");
    with_type(dtype, [&]<class T>(T) {
      const AddPowers<T> op{matrix_view(at<double>(sums), powers, cols), seen<double>(first, cols),
                            seen<T>(samples, rows, cols), squared};
      require_success(cuda::add_powers(op, stream_at(stream)), "add_powers");
    });
  });
}

void bind_masks(py::module_& m) {
  m.def("choose",
        [](Pointer x, Pointer instead, Size own_others, Size own_rows, Size others, Pointer ids,
           Size id_rows, Pointer kept, Size kept_steps, Size kept_rows, Size players, Pointer which,
           Pointer out, Size steps, Size rows, Size cols, int bytes, Pointer stream) {
          with_word(bytes, [&]<class Word>(Word) {
            const Choose<Word> op{
                seen<Word>(x, rows, cols),
                repeated<Word>(instead, own_others, own_rows, others, rows, cols),
                broadcast_rows(seen<std::int64_t>(ids, id_rows, cols), rows),
                repeated<std::uint8_t>(kept, kept_steps, kept_rows, steps, rows, players),
                matrix_view(at<Word>(out), steps * rows, cols),
                seen<std::int64_t>(which, steps)};
            require_success(cuda::choose(op, stream_at(stream)), "choose");
          });
        });
  m.def("cover", [](Pointer x, Pointer instead, Pointer starts, Pointer window, Pointer shape,
                    Size axes, Pointer out, Size steps, Size rows, Size cols, int bytes,
                    Pointer stream) {
    require(axes > 0 && axes <= kMaxBoxAxes, "boxes must have from 1 to 8 axes");
    with_word(bytes, [&]<class Word>(Word) {
      const Cover<Word> op{seen<Word>(x, rows, cols),
                           seen<Word>(instead, rows, cols),
                           {seen<std::int64_t>(starts, steps, axes),
                            seen<std::int64_t>(window, axes), seen<std::int64_t>(shape, axes)},
                           matrix_view(at<Word>(out), steps * rows, cols)};
      require_success(cuda::cover(op, stream_at(stream)), "cover");
    });
  });
  m.def("fade", [](Pointer x, Pointer baseline, Pointer mask, Size mask_rows, Size cells,
                   Size inner, Pointer out, Size steps, Size rows, Size cols,
                   const std::string& dtype, Pointer stream) {
    with_type(dtype, [&]<class T>(T) {
      const Fade<T> op{seen<T>(x, rows, cols), seen<T>(baseline, rows, cols),
                       repeated<T>(mask, steps == 1 ? 1 : steps, mask_rows, steps, rows, cells),
                       inner, matrix_view(at<T>(out), steps * rows, cols)};
      require_success(cuda::fade(op, stream_at(stream)), "fade");
    });
  });
  m.def("fade_players", [](Pointer x, Pointer baseline, Pointer ids, Size id_rows, Pointer degrees,
                           Size players, Pointer out, Size steps, Size rows, Size cols,
                           const std::string& dtype, Pointer stream) {
    with_type(dtype, [&]<class T>(T) {
      const FadePlayers<T> op{seen<T>(x, rows, cols), seen<T>(baseline, rows, cols),
                              broadcast_rows(seen<std::int64_t>(ids, id_rows, cols), rows),
                              seen<T>(degrees, steps, players),
                              matrix_view(at<T>(out), steps * rows, cols)};
      require_success(cuda::fade_players(op, stream_at(stream)), "fade_players");
    });
  });
  m.def("stretch", [](Pointer cells, Pointer left, Pointer first, Pointer second, Size places,
                      Pointer shift, Pointer out, Size steps, Size before, Size count, Size length,
                      Size after, Pointer stream) {
    const auto view = []<class T>(T* data, Size s, Size b, Size c, Size a) {
      return TensorView<T, 4>{data, {s, b, c, a}, {b * c * a, c * a, a, 1}};
    };
    const Stretch op{view(at<const float>(cells), steps, before, count, after),
                     seen<std::int64_t>(left, places),
                     seen<float>(first, places),
                     seen<float>(second, places),
                     seen<std::int64_t>(shift, steps),
                     view(at<float>(out), steps, before, length, after)};
    require_success(cuda::stretch(op, stream_at(stream)), "stretch");
  });
  m.def("sum_masks", [](Pointer linear, Pointer square, Pointer masks, Pointer scores,
                        double origin, Size steps, Size rows, Size cols, Pointer stream) {
    const SumMasks op{matrix_view(at<double>(linear), 1 + rows, cols),
                      matrix_view(at<double>(square), 1 + 2 * rows, cols),
                      seen<float>(masks, steps, cols), seen<double>(scores, steps, rows), origin};
    require_success(cuda::sum_masks(op, stream_at(stream)), "sum_masks");
  });
  m.def("draw_cells", [](Pointer cells, Pointer shifts, Pointer lengths, Size steps, Size count,
                         Size axes, std::uint64_t seed, std::uint64_t key, std::uint64_t first,
                         double keep, bool floats, Pointer stream) {
    const auto launch = [&]<class T>(T) {
      const DrawCells<T> op{matrix_view(at<T>(cells), steps, count),
                            matrix_view(at<std::int64_t>(shifts), axes, steps),
                            seen<std::int64_t>(lengths, axes),
                            seed,
                            key,
                            first,
                            keep};
      require_success(cuda::draw_cells(op, stream_at(stream)), "draw_cells");
    };
    floats ? launch(float{}) : launch(std::uint8_t{});
  });
}

// Whether memory can be had and given back in the order of a stream's work, without waiting.
bool ordered_memory() {
  static const bool answer = [] {
    int found = 0;
    const auto status = cudaDeviceGetAttribute(&found, cudaDevAttrMemoryPoolsSupported, 0);
    return status == cudaSuccess && found != 0;
  }();
  return answer;
}

void bind_memory(py::module_& m) {
  m.def(
      "allocate",
      [](std::size_t bytes, Pointer stream) {
        void* pointer = nullptr;
        const std::size_t some = bytes == 0 ? 1 : bytes;
        require_success(ordered_memory() ? cudaMallocAsync(&pointer, some, stream_at(stream))
                                         : cudaMalloc(&pointer, some),
                        "cudaMalloc");
        return reinterpret_cast<Pointer>(pointer);
      },
      "Return memory for work that comes on a stream.");
  m.def(
      "release",
      [](Pointer pointer, Pointer stream) {
        // May fail where the process ends.
        static_cast<void>(ordered_memory() ? cudaFreeAsync(at<void>(pointer), stream_at(stream))
                                           : cudaFree(at<void>(pointer)));
      },
      "Give memory back, after the work that is on the stream.");
  m.def(
      "clear",
      [](Pointer pointer, std::size_t bytes, Pointer stream) {
        require_success(cudaMemsetAsync(at<void>(pointer), 0, bytes, stream_at(stream)),
                        "cudaMemsetAsync");
      },
      "Write zeros.");
  m.def(
      "copy",
      [](Pointer to, Pointer from, std::size_t bytes, Pointer stream) {
        require_success(cudaMemcpyAsync(at<void>(to), at<void>(from), bytes,
                                        cudaMemcpyDeviceToDevice, stream_at(stream)),
                        "cudaMemcpyAsync");
      },
      "Copy memory of the device.");
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
      "Copy an array into new device memory and return its address.");
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
      "Copy device memory into an array, after all work.");
  m.def(
      "free", [](Pointer pointer) { require_success(cudaFree(at<void>(pointer)), "cudaFree"); },
      "Release memory that to_device returned.");
  // its own module's: tests load these bindings once more, compiled for the host
  py::class_<Staging>(m, "Staging", py::module_local(),
                      "Brings small arrays up, in the order of a stream's work.")
      .def(py::init<>())
      .def(
          "upload",
          [](Staging& staging, const py::array& array, Pointer to, Pointer stream) {
            require((array.flags() & py::array::c_style) != 0, "the array must be contiguous");
            const void* from = array.data();
            const auto bytes = static_cast<std::size_t>(array.nbytes());
            const py::gil_scoped_release release;
            staging.upload(from, bytes, at<void>(to), stream_at(stream));
          },
          "Copy an array, which may be changed at once, into device memory.");
}

void bind_streams(py::module_& m) {
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
        require_success(cudaStreamSynchronize(stream_at(stream)), "cudaStreamSynchronize");
      },
      py::call_guard<py::gil_scoped_release>(), "Wait for a stream's work.");
  m.def(
      "stream_destroy",
      [](Pointer stream) {
        // May fail where the process ends; what failed before is told to who waits for the stream.
        static_cast<void>(cudaStreamDestroy(stream_at(stream)));
      },
      "Release a stream, whose work goes on to its end.");
}

}  // namespace

void bind_cuda(py::module_ m) {
  m.doc() = "Launchers on device pointers; asynchronous on the stream that is given.";
  bind_paths(m);
  bind_masks(m);
  bind_memory(m);
  bind_streams(m);
}

}  // namespace onnxplain

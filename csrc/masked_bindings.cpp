#include "masked_bindings.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "array_views.hpp"
#include "kernels/masked_batches.hpp"
#include "kernels/moments.hpp"
#include "onnxplain/check.hpp"

namespace onnxplain {
namespace {

// Views an array of three axes as one of these lengths; the first two may be 1, and are repeated.
template <class T>
TensorView<const T, 3> repeated(const Array<T>& array, std::int64_t first, std::int64_t second,
                                const char* name) {
  require_axes(array, 3, name);
  const std::int64_t own[2] = {array.shape(0), array.shape(1)};
  const std::int64_t cols = array.shape(2);
  require((own[0] == first || own[0] == 1) && (own[1] == second || own[1] == 1),
          std::string(name) + " has the wrong shape");
  return {array.data(),
          {first, second, cols},
          {own[0] == 1 ? 0 : own[1] * cols, own[1] == 1 ? 0 : cols, 1}};
}

bool within(const Array<std::int64_t>& numbers, std::int64_t end) {
  return std::all_of(numbers.data(), numbers.data() + numbers.size(),
                     [=](std::int64_t number) { return number >= 0 && number < end; });
}

template <class T>
Matrix<const T> repeated_rows(const Array<T>& array, std::int64_t rows, std::int64_t cols,
                              const char* name) {
  const auto view = broadcast_rows(matrix(array, name), rows);
  require_shape(view, rows, cols, name);
  return view;
}

Boxes boxes_of(const Array<std::int64_t>& starts, const Array<std::int64_t>& window,
               const Array<std::int64_t>& shape, std::int64_t cols) {
  const Boxes boxes{matrix(starts, "starts"), vector(window, "window"), vector(shape, "shape")};
  const std::int64_t axes = boxes.shape.size();
  require(axes > 0 && axes <= kMaxBoxAxes, "boxes must have from 1 to 8 axes");
  require(boxes.starts.shape[1] == axes && boxes.window.size() == axes,
          "starts, window and shape differ in axes");
  std::int64_t size = 1;
  for (std::int64_t axis = 0; axis < axes; ++axis) {
    size *= boxes.shape[axis];
  }
  require(size == cols, "shape is not that of a row");
  return boxes;
}

template <class Word>
void choose(const Array<Word>& x, const Array<Word>& instead, const Array<std::int64_t>& ids,
            const Array<std::uint8_t>& kept, Array<Word>& out,
            const std::optional<Array<std::int64_t>>& which) {
  const auto view = matrix(x, "x");
  const std::int64_t rows = view.shape[0];
  const std::int64_t cols = view.shape[1];
  require_axes(kept, 3, "kept");
  require_axes(instead, 3, "instead");
  const std::int64_t steps = kept.shape(0);
  const std::int64_t others = which ? instead.shape(0) : steps;
  const Choose<Word> op{view,
                        repeated(instead, others, rows, "instead"),
                        repeated_rows(ids, rows, cols, "ids"),
                        repeated(kept, steps, rows, "kept"),
                        writable_matrix(out, "out"),
                        which ? vector(*which, "which") : Vector<const std::int64_t>{}};
  require(op.instead.shape[2] == cols, "instead has the wrong shape");
  require(!which || (op.which.shape[0] == steps && within(*which, others)), "which is no row");
  require_shape(op.out, steps * rows, cols, "out");
  const std::int64_t* numbers = ids.data();
  const py::gil_scoped_release release;
  require(std::all_of(numbers, numbers + ids.size(),
                      [&](std::int64_t id) { return id < op.kept.shape[2]; }),
          "an id is not below the number of players");
  cpu::choose(op);
}

template <class Word>
void cover(const Array<Word>& x, const Array<Word>& instead, const Array<std::int64_t>& starts,
           const Array<std::int64_t>& window, const Array<std::int64_t>& shape, Array<Word>& out) {
  const auto view = matrix(x, "x");
  const Cover<Word> op{view, repeated_rows(instead, view.shape[0], view.shape[1], "instead"),
                       boxes_of(starts, window, shape, view.shape[1]), writable_matrix(out, "out")};
  require_shape(op.out, op.boxes.starts.shape[0] * view.shape[0], view.shape[1], "out");
  const py::gil_scoped_release release;
  cpu::cover(op);
}

void sum_boxes(Array<double>& total, const Array<double>& lost, const Array<std::int64_t>& starts,
               const Array<std::int64_t>& window, const Array<std::int64_t>& shape) {
  const auto view = writable_matrix(total, "total");
  const SumBoxes op{view, matrix(lost, "lost"), boxes_of(starts, window, shape, view.shape[1])};
  require_shape(op.lost, op.boxes.starts.shape[0], view.shape[0], "lost");
  const py::gil_scoped_release release;
  cpu::sum_boxes(op);
}

template <class T>
void fade(const Array<T>& x, const Array<T>& baseline, const Array<T>& mask, std::int64_t inner,
          Array<T>& out) {
  const auto view = matrix(x, "x");
  const std::int64_t rows = view.shape[0];
  const std::int64_t cols = view.shape[1];
  require_axes(mask, 3, "mask");
  const std::int64_t steps = mask.shape(0);
  const Fade<T> op{view, repeated_rows(baseline, rows, cols, "baseline"),
                   repeated(mask, steps, rows, "mask"), inner, writable_matrix(out, "out")};
  const std::int64_t pattern = op.mask.shape[2] * inner;
  require(cols == 0 || (pattern > 0 && cols % pattern == 0), "the mask does not fit a row");
  require_shape(op.out, steps * rows, cols, "out");
  const py::gil_scoped_release release;
  cpu::fade(op);
}

void stretch(const Array<float>& cells, const Array<std::int64_t>& left, const Array<float>& first,
             const Array<float>& second, const Array<std::int64_t>& shift, Array<float>& out) {
  require_axes(cells, 4, "cells");
  require_axes(out, 4, "out");
  const auto view = [](auto* data, const Array<float>& array) {
    const std::int64_t a = array.shape(3);
    const std::int64_t c = array.shape(2) * a;
    const std::int64_t b = array.shape(1) * c;
    using T = std::remove_pointer_t<decltype(data)>;
    return TensorView<T, 4>{
        data, {array.shape(0), array.shape(1), array.shape(2), array.shape(3)}, {b, c, a, 1}};
  };
  const Stretch op{view(cells.data(), cells), vector(left, "left"),
                   vector(first, "first"),    vector(second, "second"),
                   vector(shift, "shift"),    view(out.mutable_data(), out)};
  const std::int64_t places = op.left.size();
  require(op.first.size() == places && op.second.size() == places, "the places differ in number");
  require(op.shift.size() == op.cells.shape[0] && op.out.shape[0] == op.cells.shape[0] &&
              op.out.shape[1] == op.cells.shape[1] && op.out.shape[3] == op.cells.shape[3],
          "out has the wrong shape");
  require(within(left, op.cells.shape[2]), "left is no cell");
  require(within(shift, places - op.out.shape[2] + 1), "shift leads beyond the places");
  const py::gil_scoped_release release;
  cpu::stretch(op);
}

void sum_masks(Array<double>& linear, Array<double>& square, const Array<float>& masks,
               const Array<double>& scores, double origin) {
  const SumMasks op{writable_matrix(linear, "linear"), writable_matrix(square, "square"),
                    matrix(masks, "masks"), matrix(scores, "scores"), origin};
  const std::int64_t rows = op.scores.shape[1];
  const std::int64_t cols = op.masks.shape[1];
  require_shape(op.masks, op.scores.shape[0], cols, "masks");
  require_shape(op.linear, 1 + rows, cols, "linear");
  require_shape(op.square, 1 + 2 * rows, cols, "square");
  const py::gil_scoped_release release;
  cpu::sum_masks(op);
}

template <class T>
void draw_cells(Array<T>& cells, Array<std::int64_t>& shifts, const Array<std::int64_t>& lengths,
                std::uint64_t seed, std::uint64_t stream, std::uint64_t first, double keep) {
  const DrawCells<T> op{writable_matrix(cells, "cells"),
                        writable_matrix(shifts, "shifts"),
                        vector(lengths, "lengths"),
                        seed,
                        stream,
                        first,
                        keep};
  require_shape(op.shifts, op.lengths.shape[0], op.cells.shape[0], "shifts");
  const py::gil_scoped_release release;
  cpu::draw_cells(op);
}

template <class T>
void add_powers(Array<double>& sums, const Array<double>& first, const Array<T>& samples,
                bool squared) {
  const AddPowers<T> op{writable_matrix(sums, "sums"), vector(first, "first"),
                        matrix(samples, "samples"), squared};
  const std::int64_t cols = op.samples.shape[1];
  require(op.sums.shape[0] <= kMostPowers, "there are too many powers");
  require_shape(op.sums, op.sums.shape[0], cols, "sums");
  require(op.first.shape[0] == cols, "first has the wrong shape");
  const py::gil_scoped_release release;
  cpu::add_powers(op);
}

py::arg arg(const char* name) {
  return py::arg(name);
}

template <class Word>
void bind_words(py::module_& m) {
  m.def("choose", &choose<Word>, arg("x").noconvert(), arg("instead").noconvert(),
        arg("ids").noconvert(), arg("kept").noconvert(), arg("out").noconvert(),
        arg("which").noconvert() = py::none());
  m.def("cover", &cover<Word>, arg("x").noconvert(), arg("instead").noconvert(),
        arg("starts").noconvert(), arg("window").noconvert(), arg("shape").noconvert(),
        arg("out").noconvert());
}

template <class T>
void bind_cells(py::module_& m) {
  m.def("draw_cells", &draw_cells<T>, arg("cells").noconvert(), arg("shifts").noconvert(),
        arg("lengths").noconvert(), arg("seed"), arg("stream"), arg("first"), arg("keep"));
}

template <class T>
void bind_powers(py::module_& m) {
  m.def("add_powers", &add_powers<T>, arg("sums").noconvert(), arg("first").noconvert(),
        arg("samples").noconvert(), arg("squared"));
}

}  // namespace

void bind_masked(py::module_& m) {
  bind_words<std::uint8_t>(m);
  bind_words<std::uint16_t>(m);
  bind_words<std::uint32_t>(m);
  bind_words<std::uint64_t>(m);
  m.def("sum_boxes", &sum_boxes, arg("total").noconvert(), arg("lost").noconvert(),
        arg("starts").noconvert(), arg("window").noconvert(), arg("shape").noconvert());
  m.def("fade", &fade<float>, arg("x").noconvert(), arg("baseline").noconvert(),
        arg("mask").noconvert(), arg("inner"), arg("out").noconvert());
  m.def("fade", &fade<double>, arg("x").noconvert(), arg("baseline").noconvert(),
        arg("mask").noconvert(), arg("inner"), arg("out").noconvert());
  m.def("stretch", &stretch, arg("cells").noconvert(), arg("left").noconvert(),
        arg("first").noconvert(), arg("second").noconvert(), arg("shift").noconvert(),
        arg("out").noconvert());
  m.def("sum_masks", &sum_masks, arg("linear").noconvert(), arg("square").noconvert(),
        arg("masks").noconvert(), arg("scores").noconvert(), arg("origin"));
  bind_cells<float>(m);
  bind_cells<std::uint8_t>(m);
  bind_powers<float>(m);
  bind_powers<double>(m);
}

}  // namespace onnxplain

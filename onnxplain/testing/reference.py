"""ONNX's reference evaluator, made fit for checking gradients in float64.

A few of its operators compute in float32, are wrong in cases that gradients need, or take seconds where
NumPy takes milliseconds; the classes here replace them.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops import op_grid_sample as grid_sample
from onnx.reference.ops import op_loop

from onnxplain._types import Array, Arrays
from onnxplain.testing.reference_conv import Conv, ConvTranspose
from onnxplain.testing.reference_moves import Pad, Resize, Scan

__all__ = ["CORRECTED", "Evaluator"]


class _Standard(OpRun):
    op_domain = ""


class Erf(_Standard):
    """Computed in float32 there."""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.vectorize(math.erf, otypes=[np.float64])(x).astype(x.dtype),)


class Gelu(_Standard):
    """Its body has float32 constants."""

    def _run(self, x: Array, approximate: str | None = None) -> tuple[Array]:
        if approximate == "tanh":
            inner = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
        else:
            inner = np.vectorize(math.erf, otypes=[np.float64])(x / math.sqrt(2))
        return ((0.5 * x * (1 + inner)).astype(x.dtype),)


class GridSample(grid_sample.GridSample):
    """Computes coordinates in float32 there."""

    op_domain = ""

    def _gs_denormalize_coordinates(self, n: Array, dims: Sequence[int], align_corners: bool) -> Array:
        lengths = np.asarray(dims, np.float64)
        n = np.asarray(n, np.float64)
        return (n + 1) / 2 * (lengths - 1) if align_corners else ((n + 1) * lengths - 1) / 2

    def _run(
        self,
        x: Array,
        grid: Array,
        mode: str = "linear",
        padding_mode: str | None = None,
        align_corners: int | None = None,
    ) -> tuple[Array]:
        old = {"bilinear": "linear", "bicubic": "cubic"}  # names before opset 20
        made: Any = super()._run(x, grid, old.get(mode, mode), padding_mode, align_corners)  # type: ignore[no-untyped-call]  # onnx's own
        return (np.asarray(made[0]),)


class GlobalMaxPool(_Standard):
    """Reduces the wrong axes there, unless there are two."""

    def _run(self, x: Array) -> tuple[Array]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class Loop(op_loop.Loop):
    """Joins scan outputs along an axis that they have there, instead of stacking them."""

    op_domain = ""

    def __init__(self, node: onnx.NodeProto, parameters: dict[str, Any]) -> None:
        super().__init__(node, parameters)  # type: ignore[no-untyped-call]  # onnx's own
        run: Any = self._run_body  # type: ignore[has-type]  # set by onnx
        first = 1 + self.N
        self._scalar = [False] * self.K

        def wrapped(inputs: Arrays, **options: Any) -> list[Array]:
            made = run(inputs, **options)
            self._scalar = [np.ndim(o) == 0 for o in made[first:]]
            return [*made[:first], *(np.asarray(o)[None] for o in made[first:])]

        self._run_body = wrapped

    def _run(self, *inputs: Array, **options: Any) -> tuple[Array, ...]:
        made = super()._run(*inputs, **options)  # type: ignore[no-untyped-call]  # onnx's own
        scans = made[self.N : self.N + self.K]
        flat = [s.reshape(-1) if alone else s for s, alone in zip(scans, self._scalar, strict=False)]
        return (*made[: self.N], *flat, *made[self.N + self.K :])


class MeanVarianceNormalization(_Standard):
    """Its body has float32 constants."""

    def _run(self, x: Array, axes: Sequence[int] | None = None) -> tuple[Array]:
        over = tuple(axes or (0, 2, 3))
        mean, deviation = x.mean(over, keepdims=True), x.std(over, keepdims=True)
        return ((x - mean) / (deviation + 1e-9),)


class _Pool(_Standard):
    """Cuts an image into windows, all at once."""

    def windows(self, x: Array, fill: float, attrs: dict[str, Any]) -> Array:
        """Return the elements of each window, (N, C, outputs..., elements), ``fill`` outside the image."""
        kernel = attrs["kernel_shape"]
        n = len(kernel)
        dilations, strides = attrs["dilations"] or [1] * n, attrs["strides"] or [1] * n
        pads, auto = attrs["pads"] or [0] * 2 * n, attrs["auto_pad"]
        border, cuts, reach = [], [], []
        for k, size in enumerate(x.shape[2:]):
            wide = dilations[k] * (kernel[k] - 1) + 1
            before, after = (pads[k], pads[n + k]) if auto in (None, "NOTSET") else (0, 0)
            made = (size + before + after - wide) / strides[k] + 1
            made = math.ceil(made) if attrs["ceil_mode"] else math.floor(made)
            if attrs["ceil_mode"] and (made - 1) * strides[k] >= size + before:
                made -= 1  # a window must not start behind the image
            if auto in ("SAME_UPPER", "SAME_LOWER"):
                made = math.ceil(size / strides[k])
                total = max((made - 1) * strides[k] + wide - size, 0)
                before = total // 2 if auto == "SAME_UPPER" else (total + 1) // 2
            border.append((before, max((made - 1) * strides[k] + wide - size - before, 0)))
            cuts.append(slice(0, (made - 1) * strides[k] + 1, strides[k]))
            reach.append(wide)
        padded = np.pad(x, [(0, 0), (0, 0), *border], constant_values=fill)
        axes = tuple(range(2, 2 + n))
        view = np.lib.stride_tricks.sliding_window_view(padded, tuple(reach), axes)
        picked = (slice(None), slice(None), *cuts, *(slice(None, None, d) for d in dilations))
        view = view[picked]
        return view.reshape(*view.shape[: 2 + n], -1)


class MaxPool(_Pool):
    """Indices (and some pads) are wrong there where all strides are 1."""

    def _run(self, x: Array, **attrs: Any) -> tuple[Array, ...]:
        n = x.ndim - 2
        values = self.windows(x, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min, attrs)
        best = values.argmax(-1)[..., None]
        y = np.take_along_axis(values, best, -1)[..., 0]
        if len(self.output) == 1:
            return (y,)
        order: Literal["F", "C"] = "F" if attrs["storage_order"] else "C"
        image = np.reshape(np.arange(x[0, 0].size, dtype=np.int64), x.shape[2:], order=order)
        places = np.broadcast_to(self.windows(image[None, None], -1, attrs), values.shape)
        images = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *[1] * n)
        return y, np.take_along_axis(places, best, -1)[..., 0] + images * image.size


class AveragePool(_Pool):
    """Slow there."""

    def _run(self, x: Array, **attrs: Any) -> tuple[Array]:
        pads, n = attrs["pads"] or [0] * 2 * (x.ndim - 2), x.ndim - 2
        explicit = attrs["auto_pad"] in (None, "NOTSET", "VALID")
        inside = np.ones((1, 1, *x.shape[2:]), x.dtype)
        if not attrs["count_include_pad"]:
            counted = self.windows(inside, 0.0, attrs)
        elif explicit:  # pads count, what ceil_mode adds behind them does not
            border = [(0, 0), (0, 0), *((pads[k], pads[n + k]) for k in range(n))]
            counted = self.windows(np.pad(inside, border, constant_values=1), 0.0, {**attrs, "pads": None})
        else:
            counted = self.windows(inside, 1.0, attrs)
        values = self.windows(x, 0.0, attrs)
        counts = counted.sum(-1)[tuple(slice(0, s) for s in (1, 1, *values.shape[2:-1]))]
        return ((values.sum(-1) / counts).astype(x.dtype),)


class LpPool(_Pool):
    """Slow there."""

    def _run(self, x: Array, p: int = 2, **attrs: Any) -> tuple[Array]:
        powers = np.abs(self.windows(x, 0.0, attrs)) ** p
        return ((powers.sum(-1) ** (1.0 / p)).astype(x.dtype),)


class GlobalLpPool(_Standard):
    """Missing there."""

    def _run(self, x: Array, p: int = 2) -> tuple[Array]:
        powers = (np.abs(x) ** p).sum(tuple(range(2, x.ndim)), keepdims=True)
        return ((powers ** (1.0 / p)).astype(x.dtype),)


class MaxRoiPool(_Standard):
    """Missing there."""

    def _run(
        self, x: Array, rois: Array, pooled_shape: Sequence[int] = (), spatial_scale: float = 1.0
    ) -> tuple[Array]:
        y = np.zeros((len(rois), x.shape[1], *pooled_shape), x.dtype)
        for r, roi in enumerate(rois):
            image = x[int(roi[0])]
            left, top, right, bottom = (math.floor(v * spatial_scale + 0.5) for v in roi[1:])
            for i, j in np.ndindex(*pooled_shape):
                cuts = []
                bins = ((i, top, bottom, pooled_shape[0]), (j, left, right, pooled_shape[1]))
                for k, first, last, count in bins:
                    step = max(last - first + 1, 1) / count
                    ends = first + math.floor(k * step), first + math.ceil((k + 1) * step)
                    cuts.append(slice(max(ends[0], 0), max(ends[1], 0)))
                window = image[:, cuts[0], cuts[1]].reshape(x.shape[1], -1)
                y[r, :, i, j] = window.max(1) if window.size else 0
        return (y,)


class LRN(_Standard):
    """Sums over as many channels as there are samples there."""

    def _run(
        self,
        x: Array,
        alpha: float | None = None,
        beta: float | None = None,
        bias: float | None = None,
        size: int | None = None,
    ) -> tuple[Array]:
        assert alpha is not None
        assert beta is not None
        assert size is not None
        wide = np.pad(x * x, [(0, 0), ((size - 1) // 2, size // 2), *[(0, 0)] * (x.ndim - 2)])
        around = np.lib.stride_tricks.sliding_window_view(wide, size, 1).sum(-1)
        return ((x / (bias + alpha / size * around) ** beta).astype(x.dtype),)


class LpNormalization(_Standard):
    """Does not take magnitudes there."""

    def _run(self, x: Array, axis: int | None = None, p: int | None = None) -> tuple[Array]:
        over = -1 if axis is None else axis
        norm = np.abs(x).sum(over, keepdims=True) if p == 1 else np.sqrt((x * x).sum(over, keepdims=True))
        return ((x / np.where(norm == 0, 1, norm)).astype(x.dtype),)


class Mean(_Standard):
    """Adds in place there, so that nothing broadcasts."""

    def _run(self, *inputs: Array) -> tuple[Array]:
        return ((sum(inputs[1:], inputs[0]) / len(inputs)).astype(inputs[0].dtype),)


class DeformConv(_Standard):
    """Reads between pixels in float32 there."""

    def _run(
        self,
        x: Array,
        w: Array,
        offset: Array,
        bias: Array | None = None,
        mask: Array | None = None,
        dilations: Sequence[int] | None = None,
        group: int | None = None,
        kernel_shape: Sequence[int] | None = None,
        offset_group: int | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[Array]:
        n, channels, filters, depth = *x.shape[:2], *w.shape[:2]
        kernel = w.shape[2:]
        dilations, strides, pads = dilations or [1, 1], strides or [1, 1], pads or [0] * 4
        groups, out = offset_group or 1, offset.shape[2:]
        offset = offset.reshape(n, groups, *kernel, 2, *out)
        weights = np.ones_like(offset[:, :, :, :, 0])
        if mask is not None:
            weights = mask.reshape(n, groups, *kernel, *out)
        y = np.zeros((n, filters, *out))
        share = filters // (group or 1)
        for b, c in itertools.product(range(n), range(channels)):
            g = c // (channels // groups)
            own = range(c // depth * share, (c // depth + 1) * share)
            for i, j, r, s in itertools.product(*map(range, (*kernel, *out))):
                v = r * strides[0] - pads[0] + i * dilations[0] + offset[b, g, i, j, 0, r, s]
                u = s * strides[1] - pads[1] + j * dilations[1] + offset[b, g, i, j, 1, r, s]
                near = 0.0
                for p, q in itertools.product(range(2), range(2)):
                    row, column = math.floor(v) + p, math.floor(u) + q
                    if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                        near += (1 - abs(v - row)) * (1 - abs(u - column)) * x[b, c, row, column]
                for o in own:
                    y[b, o, r, s] += w[o, c % depth, i, j] * weights[b, g, i, j, r, s] * near
        return ((y if bias is None else y + bias.reshape(1, -1, 1, 1)).astype(x.dtype),)


#: What replaces operators of the reference evaluator.
CORRECTED: list[type[OpRun]] = [
    AveragePool,
    Conv,
    ConvTranspose,
    DeformConv,
    Erf,
    Gelu,
    GlobalLpPool,
    GlobalMaxPool,
    GridSample,
    LRN,
    Loop,
    LpNormalization,
    LpPool,
    MaxPool,
    MaxRoiPool,
    Mean,
    MeanVarianceNormalization,
    Pad,
    Resize,
    Scan,
]


class Evaluator:
    """Run a model on the reference evaluator, quietly.

    Parameters
    ----------
    model
        Model to run.
    operators
        Those that it does not know, besides the ones that are corrected here.
    """

    def __init__(self, model: ir.Model, operators: Sequence[type[OpRun]] = ()) -> None:
        proto = ir.to_proto(model)
        assert isinstance(proto, onnx.ModelProto)
        _name_unused(proto.graph, "unused")
        self.names = [o.name for o in proto.graph.output]
        self.session = ReferenceEvaluator(proto, new_ops=[*CORRECTED, *operators])

    def __call__(self, feeds: Arrays) -> Arrays:
        """Return the outputs by name; feeds that the model does not take are ignored."""
        wanted = {k: v for k, v in feeds.items() if k in self.session.input_names}
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return dict(zip(self.names, self.session.run(None, wanted), strict=True))


def _name_unused(graph: onnx.GraphProto, prefix: str) -> None:
    """Name omitted outputs, also in bodies: what is stored as "" is read for omitted inputs there."""
    for count, node in enumerate(graph.node):
        node.output[:] = [name or f"{prefix}/{count}/{k}" for k, name in enumerate(node.output)]
        for k, attribute in enumerate(a for a in node.attribute if a.HasField("g")):
            _name_unused(attribute.g, f"{prefix}/{count}.{k}")

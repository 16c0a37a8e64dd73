"""Operators that read between the pixels: at a grid, in regions, or at learned offsets."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.ops.composition import composed
from onnxplain.backward.registry import Category
from onnxplain.backward.view import NodeView
from onnxplain.errors import UnsupportedOperatorError
from onnxplain.graph import facts

_INT64 = 7


def taps(op: Emitter, at: Any, mode: str) -> tuple[Any, Any]:
    """Return the pixels around each coordinate and their weights, both (..., taps)."""
    if mode == "nearest":
        return op.Unsqueeze(op.Round(at), [-1]), op.full_like(op.Unsqueeze(at, [-1]), 1.0)
    low = op.Floor(at)
    f = at - low
    if mode == "linear":
        offsets, weights = [0, 1], [1 - f, f]
    else:  # cubic convolution with a = -3/4
        a, b = -0.75, 1 - f
        offsets = [-1, 0, 1, 2]
        weights = [
            a * f * b * b,
            ((a + 2) * f - (a + 3)) * f * f + 1,
            ((a + 2) * b - (a + 3)) * b * b + 1,
            a * b * f * f,
        ]
    dtype = at.dtype.numpy()
    pixels = op.Unsqueeze(low, [-1]) + op.const(np.array(offsets, dtype))
    return pixels, op.Concat(*(op.Unsqueeze(w, [-1]) for w in weights), axis=-1)


def sample(
    op: Emitter,
    x: Any,
    sizes: list[Any],
    coordinates: list[Any],
    mode: str,
    padding: str = "zeros",
    align: bool = True,
) -> Any:
    """Interpolate ``x`` (B, C, *sizes) at coordinates in pixels, one (B, P) per axis, to (B, C, P)."""
    n = len(sizes)
    index: Any = None
    weight: Any = None
    for k, (size, at) in enumerate(zip(sizes, coordinates, strict=True)):
        pixels, w = taps(op, at, mode)
        last = op.cast_like(size, at) - 1
        if padding == "zeros":
            inside = op.And(op.GreaterOrEqual(pixels, 0.0), op.LessOrEqual(pixels, last))
            w = op.Where(inside, w, 0.0)
        elif padding == "reflection":  # about the centres of the border pixels, or about their edges
            edge = 0.0 if align else 0.5
            period = op.Max(2 * (last + 2 * edge), 1.0)
            folded = op.Abs(pixels + edge)
            folded = folded - period * op.Floor(folded / period)
            pixels = op.Min(folded, period - folded) - edge
        whole = op.Cast(op.Max(op.Min(pixels, last), 0.0), to=_INT64)
        around = [2 + j for j in range(n) if j != k]  # one axis of taps per spatial axis
        whole, w = op.Unsqueeze(whole, around), op.Unsqueeze(w, around)
        index = whole if index is None else op.Add(op.Mul(index, size), whole)
        weight = w if weight is None else weight * w
    lead = op.Shape(x, start=0, end=2)
    flat = op.Reshape(x, op.concat([lead, -1]))
    rows = op.Unsqueeze(op.Reshape(index, op.concat([op.Shape(x, start=0, end=1), -1])), [1])
    picked = op.GatherElements(flat, op.Expand(rows, op.concat([lead, op.Shape(rows, start=2)])), axis=2)
    shape = op.Shape(weight, start=1)
    spread = op.Reshape(picked, op.concat([lead, shape])) * op.Unsqueeze(weight, [1])
    return op.sum(spread, range(3, 3 + n))


@composed("GridSample", Category.LINEAR)
def grid_sample(op: Emitter, node: NodeView, x: Any, grid: Any) -> Any:
    """Read x (N, C, ...) at the places that the grid (N, ..., n) names in [-1, 1]."""
    n = node.rank() - 2
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(
        node.str("mode", "linear"), node.str("mode", "linear")
    )
    align = bool(node.int("align_corners", 0))
    places = op.Reshape(grid, op.concat([op.Shape(grid, start=0, end=1), -1, n]))
    sizes = [op.dim(x, k + 2) for k in range(n)]
    at = []
    for k, size in enumerate(sizes):
        unit = op.Gather(places, op.const(np.int64(n - 1 - k)), axis=2)  # the grid's order is x, y, z
        length = op.cast_like(size, unit)
        at.append((unit + 1) / 2 * (length - 1) if align else ((unit + 1) * length - 1) / 2)
    out = sample(op, x, sizes, at, mode, node.str("padding_mode", "zeros"), align)
    return op.Reshape(out, op.concat([op.Shape(x, start=0, end=2), op.Shape(grid, start=1, end=-1)]))


@composed("DeformConv", Category.LINEAR)
def deform_conv(
    op: Emitter, node: NodeView, x: Any, w: Any, offset: Any, bias: Any = None, mask: Any = None
) -> Any:
    """Convolve what is read at the kernel's places plus the offsets."""
    n = node.rank() - 2
    kernel = node.optional_ints("kernel_shape") or tuple(facts.static_dim(w, k + 2) or 0 for k in range(n))
    if 0 in kernel:
        raise UnsupportedOperatorError(f"{node.label}: its gradient needs a kernel size known before running")
    ones = (1,) * n
    strides, dilations, pads = (
        node.ints("strides", ones),
        node.ints("dilations", ones),
        node.ints("pads", (0,) * 2 * n),
    )
    group, offset_group = node.int("group", 1), node.int("offset_group", 1)
    taps_ = int(np.prod(kernel))
    made = [op.dim(node.y, k + 2) for k in range(n)]
    batch, channels = op.Shape(x, start=0, end=1), op.Shape(x, start=1, end=2)
    # (N * groups, kernel, n, outputs): where each tap of each window reads
    offsets = op.Reshape(offset, op.concat([-1, taps_, n, *made]))
    at = []
    for k in range(n):
        tap = np.indices(kernel)[k].reshape(-1) * dilations[k] - pads[k]
        shape = [1] * (n + 2)
        shape[1] = taps_
        window = [1] * (n + 2)
        window[2 + k] = -1
        place = op.Add(op.Reshape(op.Mul(op.indices(made[k]), strides[k]), window), tap.reshape(shape))
        shift = op.Gather(offsets, op.const(np.int64(k)), axis=2)
        at.append(op.Reshape(op.cast_like(place, x) + shift, op.concat([op.Mul(batch, offset_group), -1])))
    images = op.Reshape(
        x, op.concat([op.Mul(batch, offset_group), op.Div(channels, offset_group), op.Shape(x, start=2)])
    )
    columns = sample(op, images, [op.dim(x, k + 2) for k in range(n)], at, "linear")
    if mask is not None:
        columns = columns * op.Reshape(mask, op.concat([op.Mul(batch, offset_group), 1, -1]))
    rows = op.Div(op.Mul(channels, taps_), group)
    columns = op.Reshape(columns, op.concat([batch, group, rows, -1]))
    filters = op.Reshape(w, op.concat([group, -1, rows]))
    out = op.Reshape(op.MatMul(filters, columns), op.concat([batch, op.Shape(w, start=0, end=1), *made]))
    return out if bias is None else out + op.Unsqueeze(bias, list(range(1, n + 1)))


@composed("RoiAlign", Category.LINEAR)
def roi_align(op: Emitter, node: NodeView, x: Any, rois: Any, batch: Any) -> Any:
    """Average bilinear samples in each bin: a matrix for the rows, one for the columns."""
    if node.str("mode", "avg") != "avg":
        raise UnsupportedOperatorError(f"{node.label}: no gradient for mode='max'; export with mode='avg'")
    half = node.str("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    ends = rois * node.float("spatial_scale", 1.0) - (0.5 if half else 0.0)
    ratio = node.int("sampling_ratio", 0)

    def matrix(axis: int, bins: int) -> Any:
        """(rois, bins, size): the weight of each pixel in each bin."""
        low, high = (op.Unsqueeze(op.Gather(ends, [k], axis=1), [2, 3]) for k in (1 - axis, 3 - axis))
        span = high - low if half else op.Max(high - low, 1.0)
        step = span / float(bins)
        count = op.full_like(step, float(ratio)) if ratio > 0 else op.Ceil(step)
        most = op.Cast(op.ReduceMax(count, keepdims=0), to=_INT64)
        t = op.cast_like(op.Reshape(op.indices(most), [1, 1, -1, 1]), x)
        bin_ = op.const(np.arange(bins).reshape(1, -1, 1, 1), x.dtype)
        at = low + (bin_ + (t + 0.5) / count) * step
        size = op.dim(x, 2 + axis)
        length = op.cast_like(size, x)
        used = op.And(op.Less(t, count), op.And(op.GreaterOrEqual(at, -1.0), op.LessOrEqual(at, length)))
        pixel = op.cast_like(op.indices(size), x)
        near = op.Relu(1 - op.Abs(op.Max(op.Min(at, length - 1), 0.0) - pixel))
        return op.sum(op.Where(used, near, 0.0), [2]) / op.Max(op.Squeeze(count, [2]), 1.0)

    rows = op.Unsqueeze(matrix(0, node.int("output_height", 1)), [1])
    columns = op.Unsqueeze(op.transpose(matrix(1, node.int("output_width", 1)), [0, 2, 1]), [1])
    return op.MatMul(op.MatMul(rows, op.Gather(x, batch, axis=0)), columns)


@composed("MaxRoiPool", Category.POOLING)
def max_roi_pool(op: Emitter, node: NodeView, x: Any, rois: Any) -> Any:
    """Take the maximum over each bin's rows, then over its columns; an empty bin gives 0."""
    images = op.Gather(x, op.Cast(op.Gather(rois, op.const(np.int64(0)), axis=1), to=_INT64), axis=0)
    scale = node.float("spatial_scale", 1.0)
    low_value = float(np.finfo(x.dtype.numpy()).min)

    def inside(axis: int, bins: int) -> Any:
        """(rois, bins, size): whether a pixel lies in a bin."""
        low, high = (op.Floor(op.Gather(rois, [k], axis=1) * scale + 0.5) for k in (2 - axis, 4 - axis))
        step = op.Max(high - low + 1, 1.0) / float(bins)
        bin_ = op.const(np.arange(bins), x.dtype)
        first = op.Unsqueeze(low + op.Floor(bin_ * step), [2])
        last = op.Unsqueeze(low + op.Ceil((bin_ + 1) * step), [2])
        pixel = op.cast_like(op.indices(op.dim(x, 2 + axis)), x)
        return op.And(op.GreaterOrEqual(pixel, first), op.Less(pixel, last))

    height, width = node.ints("pooled_shape", ())
    rows = op.Unsqueeze(inside(0, height), [1, 4])  # (R, 1, bins, H, 1)
    by_row = op.ReduceMax(op.Where(rows, op.Unsqueeze(images, [2]), low_value), [3], keepdims=0)
    columns = op.Unsqueeze(inside(1, width), [1, 2])  # (R, 1, 1, bins, W)
    found = op.ReduceMax(op.Where(columns, op.Unsqueeze(by_row, [3]), low_value), [4], keepdims=0)
    return op.Where(op.Equal(found, low_value), 0.0, found)

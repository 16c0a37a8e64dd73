"""Shares of equal size: what arrives at an output goes evenly to the inputs that it is connected to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.ops.convolution import kernel_of
from onnxplain.backward.ops.pooling import spread as over_windows
from onnxplain.backward.ops.windows import Windows
from onnxplain.backward.registry import written
from onnxplain.backward.rules.base import propagate
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts

__all__ = ["evenly"]

_MATRIX = 2


def evenly(op: Emitter, node: NodeView, data: int, relevance: Any) -> Any:
    """Return ``sum_k R_k / n_k`` for each input, over the outputs k that it is connected to.

    ``n_k`` is the number of inputs of output k: of a window at the border those inside.  An output without
    any (between the steps of a transposed convolution) gives nothing.

    Parameters
    ----------
    op
        Writes.
    node
        A layer with two factors.
    data
        The position of the input; the other factor is the weight.
    relevance
        What arrives, shaped like the output.
    """
    x, weight = node.input(data), node.input(1 - data)
    if node.op_type == "Mul":
        return relevance
    if node.op_type == "Conv" and data == 0:
        return _windows(op, node, relevance)
    if node.op_type == "ConvTranspose" and data == 0:
        return _transposed_windows(op, node, relevance)
    gemm = node.op_type == "Gemm"
    if gemm or (node.op_type == "MatMul" and facts.rank(weight) == _MATRIX and node.rank(data) >= _MATRIX):
        made = _matrix(op, node, data, relevance)
        if made is not None:
            return made
    ones = op.full_like(weight, 1.0 / node.float("alpha", 1.0) if gemm else 1.0)
    inputs = (x, ones) if data == 0 else (ones, x)
    view = node.with_inputs(*inputs)
    forward = tuple(op.full_like(x, 1.0) if v is x else v for v in inputs)
    count = op.Max(op.clone(node.source, forward)[0], 1.0)
    return written(propagate(op, view, op.Div(relevance, count))[data])


def _matrix(op: Emitter, node: NodeView, data: int, relevance: Any) -> Any:
    """Sum over the outputs of a row (or column) and divide by its length, which must be known."""
    weight = node.input(1 - data)
    turned = node.op_type == "Gemm" and bool(node.int("transA" if data else "transB", 0))
    kept = int((data == 1) != turned)  # the axis of the weight that is summed over
    length = facts.static_dim(weight, kept)
    if length is None:
        return None
    shape = [1, 1]
    shape[kept] = length
    alpha = node.float("alpha", 1.0) if node.op_type == "Gemm" else 1.0
    thin = op.const(np.full(shape, 1.0 / (alpha * length), (weight.dtype or ir.DataType.FLOAT).numpy()))
    axis = (_MATRIX if node.op_type == "Gemm" else node.rank(data)) - (1 if data == 0 else 2)
    inputs = (node.input(0), thin) if data == 0 else (thin, node.input(1))
    return written(propagate(op, node.with_inputs(*inputs), op.sum(relevance, [axis], keepdims=True))[data])


def _windows(op: Emitter, node: NodeView, relevance: Any) -> Any:
    weight, kernel = node.input(1), kernel_of(node)
    group = node.int("group", 1)
    dtype = node.x.dtype or ir.DataType.FLOAT
    spatial = (*(facts.dims(node.x) or ())[2:], *(facts.dims(node.y) or ())[2:])
    windows = Windows.of(node, kernel)
    geometry = kernel, windows.strides, windows.dilations, node.ints("pads", ()), node.str("auto_pad", "")
    static = all(isinstance(d, int) for d in spatial)
    places = op.once(
        ("places of windows", *geometry, spatial if static else node.x),
        lambda: windows.divisors(op, False, dtype),
    )
    summed = _over_groups(op, node, relevance, group)
    inputs_each = facts.static_dim(weight, 1)
    assert inputs_each is not None, f"{node.label}: the number of its channels is unknown"
    share = op.Div(summed, op.Max(op.Mul(places, float(inputs_each)), 1.0))
    view = node.with_inputs(_thin(op, node.x, group), weight)
    return _to_channels(op, over_windows(op, Windows.of(view, kernel), share), node.x, group)


def _transposed_windows(op: Emitter, node: NodeView, relevance: Any) -> Any:
    weight, kernel = node.input(1), kernel_of(node)
    group = node.int("group", 1)
    dtype = (node.x.dtype or ir.DataType.FLOAT).numpy()
    channels = facts.static_dim(weight, 0)
    assert channels is not None, f"{node.label}: the number of its channels is unknown"
    place = op.full_like(op.annotate(*_like_one(op, node.x)), 1.0)
    attributes: dict[str, Any] = {k: a.value for k, a in node.source.attributes.items() if k != "group"}
    ones = np.ones((1, 1, *kernel), dtype)
    count = op.emit("ConvTranspose", [place, op.const(ones)], attributes)
    summed = _over_groups(op, node, relevance, group)
    share = op.Div(summed, op.Max(op.Mul(count, float(channels // group)), 1.0))
    view = NodeView(
        node.source,
        (_thin(op, node.x, group), op.const(np.ones((group, 1, *kernel), dtype))),
        (summed,),
    )
    return _to_channels(op, written(propagate(op, view, share)[0]), node.x, group)


def _like_one(op: Emitter, x: ir.Value) -> tuple[Any, ir.Value]:
    """Return one channel of one sample, and a stand-in with its shape."""
    cut = op.Slice(x, [0, 0], [1, 1], [0, 1])
    shape = ir.Shape([1, 1, *(facts.dims(x) or ())[2:]])
    return cut, ir.Value(name="one channel", type=x.type, shape=shape)


def _thin(op: Emitter, x: ir.Value, group: int) -> Any:
    """Return a value with one channel per group, for its shape."""
    return _shaped(op.Slice(x, [0], [group], [1]), [(facts.dims(x) or (None,))[0], group], x)


def _over_groups(op: Emitter, node: NodeView, relevance: Any, group: int) -> Any:
    """Sum over the output channels of each group."""
    batch = (facts.dims(node.y) or (None,))[0]
    if group == 1:
        return _shaped(op.sum(relevance, [1], keepdims=True), [batch, 1], node.y)
    if facts.static_dim(node.y, 1) == group:
        return relevance
    split = op.Reshape(relevance, op.concat([op.dim(relevance, 0), group, -1, op.Shape(relevance, start=2)]))
    return _shaped(op.sum(split, [2]), [batch, group], node.y)


def _to_channels(op: Emitter, part: Any, x: ir.Value, group: int) -> Any:
    """Give each channel what its group got."""
    if facts.static_dim(x, 1) == group:
        return op.annotate(part, x)
    if group > 1:
        wide = op.Unsqueeze(part, [2])
        each = op.Div(op.dim(x, 1), group)
        rest = op.Shape(part, start=2)
        wide = op.Expand(wide, op.concat([op.dim(part, 0), group, each, rest]))
        return op.reshape_like(wide, x)
    return op.annotate(op.Expand(part, op.shape_of(x)), x)


def _shaped(value: Any, front: Sequence[facts.Dim], like: ir.Value) -> Any:
    """State the shape of a value that differs from another in its first two axes."""
    value.shape = ir.Shape([*front, *(facts.dims(like) or ())[2:]])
    if value.dtype is None:
        value.type = like.type
    return value

"""Pooling: the winner takes all, or every element its share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.ops.maxima import to_first_maxima
from onnxplain.backward.ops.windows import Windows
from onnxplain.backward.registry import Category, Entry, gradient, linear
from onnxplain.backward.view import NodeView


@gradient("MaxPool", Category.POOLING)
def max_pool(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Send g to each window's first maximum."""
    w = Windows.of(node, node.ints("kernel_shape", ()))
    return (lambda: to_first_maxima(op, w, g),)


def spread(op: Emitter, w: Windows, g: Any) -> Any:
    """Give every element of a window the window's value: the adjoint of summing over windows."""
    images = op.Reshape(g, op.concat([-1, 1, op.Shape(g, start=2)]))
    ones = np.ones((1, 1, *w.kernel), (w.node.x.dtype or ir.DataType.FLOAT).numpy())
    full = op.ConvTranspose(images, ones, strides=w.strides, dilations=w.dilations)
    full = op.Reshape(full, op.concat([op.Shape(g, end=2), op.Shape(full, start=2)]))
    return w.fit(op, full)


@linear("AveragePool")
def average_pool(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Spread g over its window, divided by the number of elements averaged."""
    w = Windows.of(node, node.ints("kernel_shape", ()))
    dtype = node.x.dtype
    assert dtype is not None
    include_pad = bool(node.int("count_include_pad", 0))
    return (lambda: spread(op, w, op.Div(g, w.divisors(op, include_pad, dtype))),)


@gradient("LpPool", Category.POOLING)
def lp_pool(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """|x|^(p-1) sign(x) y^(1-p) for every element of the window."""
    w = Windows.of(node, node.ints("kernel_shape", ()))
    p = node.int("p", 2)

    def entry() -> Any:
        scaled = g if p == 1 else op.Div(g, _power(op, op.Where(op.Equal(node.y, 0.0), 1.0, node.y), p - 1))
        local = op.Mul(_power(op, op.Abs(node.x), p - 1), op.Sign(node.x))
        return op.Mul(spread(op, w, scaled), local)

    return (entry,)


def _power(op: Emitter, x: Any, p: int) -> Any:
    return x if p == 1 else op.Pow(x, float(p))


@linear("GlobalAveragePool")
def global_average_pool(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Share g evenly over the spatial axes."""
    count = op.cast_like(op.Div(op.Size(node.x), op.Size(node.y)), node.x)
    return (lambda: op.expand_like(op.Div(g, count), node.x),)


@gradient("GlobalMaxPool", Category.POOLING)
def global_max_pool(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Send g to the first maximum of each channel."""

    def entry() -> Any:
        rows = op.Reshape(node.x, op.concat([op.Shape(node.x, end=2), -1]))
        best = op.ArgMax(rows, axis=2, keepdims=1)
        flat = op.Reshape(g, op.concat([op.Shape(node.x, end=2), 1]))
        out = op.ScatterElements(op.zeros_like(rows), best, flat, axis=2)
        return op.reshape_like(out, node.x)

    return (entry,)


@gradient("GlobalLpPool", Category.POOLING)
def global_lp_pool(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """|x|^(p-1) sign(x) y^(1-p)."""
    p = node.int("p", 2)
    safe = op.Where(op.Equal(node.y, 0.0), 1.0, node.y)

    def entry() -> Any:
        local = op.Mul(
            _power(op, op.Abs(node.x), p - 1) if p > 1 else op.full_like(node.x, 1.0), op.Sign(node.x)
        )
        return op.Mul(local, g if p == 1 else op.Div(g, _power(op, safe, p - 1)))

    return (entry,)

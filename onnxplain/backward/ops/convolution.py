"""Convolutions in any number of axes, with groups, strides, dilations and automatic pads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.ops.windows import Windows
from onnxplain.backward.registry import Entry, linear
from onnxplain.backward.view import NodeView
from onnxplain.errors import UnsupportedOperatorError
from onnxplain.graph import facts


def kernel_of(node: NodeView) -> tuple[int, ...]:
    """Return the kernel's size, which must be known before running."""
    shape = facts.dims(node.input(1))
    kernel = node.optional_ints("kernel_shape") or (None if shape is None else shape[2:])
    if kernel is None or not all(isinstance(k, int) for k in kernel):
        raise UnsupportedOperatorError(f"{node.label}: its gradient needs a kernel size known before running")
    return tuple(k for k in kernel if isinstance(k, int))


def _bias(op: Emitter, node: NodeView, g: Any) -> Any:
    return op.sum(g, [0, *range(2, node.rank())])


@linear("Conv", wrt=(0, 1))
def conv(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Transpose the convolution for dX; correlate X with g for dW."""
    windows = Windows.of(node, kernel_of(node))
    return (
        lambda: _conv_dx(op, node, windows, g),
        lambda: _conv_dw(op, node, windows, g),
        lambda: _bias(op, node, g),
    )


def _conv_dx(op: Emitter, node: NodeView, w: Windows, g: Any) -> Any:
    attrs = {"strides": w.strides, "dilations": w.dilations, "group": node.int("group", 1)}
    begin = w.begin(op)
    sizes = [facts.static_dim(node.x, k + 2) for k in range(w.n)]
    made = [facts.static_dim(node.y, k + 2) for k in range(w.n)]
    numbers = [b for b in begin if isinstance(b, int)]
    known, outs = ([n for n in lengths if n is not None] for lengths in (sizes, made))
    if len(numbers) == len(known) == len(outs) == w.n:
        covered = [(m - 1) * s + r for m, s, r in zip(outs, w.strides, w.reach, strict=True)]
        end = [c - b - i for c, b, i in zip(covered, numbers, known, strict=True)]
        extra = [max(-e, 0) for e in end]
        if all(e < max(s, d) for e, s, d in zip(extra, w.strides, w.dilations, strict=True)):
            pads = [*numbers, *(max(e, 0) for e in end)]
            padding = extra if any(extra) else None
            return op.annotate(_transposed(op, g, node, pads=pads, output_padding=padding, **attrs), node.x)
    elif len(numbers) == w.n and set(w.strides) == {1} and not w.is_same:
        given = node.ints("pads", (0,) * 2 * w.n) if node.str("auto_pad", "NOTSET") == "NOTSET" else None
        return _transposed(op, g, node, pads=given, **attrs)
    return w.fit(op, _transposed(op, g, node, **attrs))


def _transposed(op: Emitter, g: Any, node: NodeView, **attrs: Any) -> Any:
    made = op.ConvTranspose(g, node.input(1), **attrs)
    if made.producer() is not None:  # None: all of it is constant
        made.producer().metadata_props[facts.WRITTEN_KEY] = facts.ADJOINT
    return made


def _conv_dw(op: Emitter, node: NodeView, w: Windows, g: Any) -> Any:
    """Correlate: the batch plays the part of the channels, strides and dilations change places."""
    group = node.int("group", 1)
    x = node.x
    pads = op.concat([op.concat(w.begin(op)), np.array(w.strides) + np.array(w.reach)])
    padded = op.Pad(x, pads, None, list(range(2, 2 + w.n)))
    return correlate(op, padded, g, w, group, node.rank())


def correlate(op: Emitter, x: Any, g: Any, w: Windows, group: int, rank: int) -> Any:
    """Return ``out[o, i, k] = sum_n,p x[n, i, p s + k d] g[n, o, p]``, cut to the kernel's size."""
    spatial = list(range(2, rank))
    x_t = op.transpose(x, [1, 0, *spatial])
    if group > 1:  # (G I, N, ...) -> (I, G N, ...)
        split = op.Reshape(x_t, op.concat([group, -1, op.Shape(x_t, start=1)]))
        swapped = op.transpose(split, [1, 0, *range(2, rank + 1)])
        x_t = op.Reshape(swapped, op.concat([op.Shape(swapped, end=1), -1, op.Shape(swapped, start=3)]))
    g_t = op.transpose(g, [1, 0, *spatial])
    out = op.Conv(x_t, g_t, strides=w.dilations, dilations=w.strides, group=group)
    out = op.Slice(out, [0] * w.n, list(w.kernel), spatial)
    return op.transpose(out, [1, 0, *spatial])


@linear("ConvTranspose", wrt=(0, 1))
def conv_transpose(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Convolve g for dX; correlate g with X for dW."""
    w = Windows.of(node, kernel_of(node))
    group = node.int("group", 1)
    axes = list(range(2, 2 + w.n))

    def covering() -> Any:  # undo the cropping that a transposed convolution's pads are
        pads = _transpose_pads(op, node, w)
        return g if not isinstance(pads, ir.Value) and not any(pads) else op.Pad(g, pads, None, axes)

    def dx() -> Any:
        part = op.Conv(covering(), node.input(1), strides=w.strides, dilations=w.dilations, group=group)
        exact = not any(node.ints("output_padding", (0,))) and "output_shape" not in node.source.attributes
        return part if exact else op.Slice(part, [0] * w.n, op.Shape(node.x, start=2), axes)

    def dw() -> Any:
        spare = [s + r for s, r in zip(w.strides, w.reach, strict=True)]
        return correlate(op, op.Pad(covering(), [0] * w.n + spare, None, axes), node.x, w, group, node.rank())

    return dx, dw, lambda: _bias(op, node, g)


def _transpose_pads(op: Emitter, node: NodeView, w: Windows) -> Sequence[int] | ir.Value:
    """Return the pads, where automatic or given through the output's shape too."""
    auto, wanted = node.str("auto_pad", "NOTSET"), node.optional_ints("output_shape")
    if wanted is None and auto in ("NOTSET", "VALID"):
        return node.ints("pads", (0,) * 2 * w.n) if auto == "NOTSET" else (0,) * 2 * w.n
    padding = node.ints("output_padding", (0,) * w.n)
    small, large = [], []
    for k in range(w.n):
        fixed = padding[k] + w.reach[k] - w.strides[k]
        total = op.const([fixed])  # SAME: the output is stride times the input
        if wanted is not None:
            rest = fixed - wanted[len(wanted) - w.n + k]
            total = op.Add(op.Mul(op.dim(node.x, k + 2), w.strides[k]), rest)
        total = op.Max(total, 0)
        small.append(op.Div(total, 2))
        large.append(op.Sub(total, small[k]))
    # the standard puts the odd one behind for SAME_UPPER only
    return op.concat([*small, *large] if auto == "SAME_UPPER" else [*large, *small])

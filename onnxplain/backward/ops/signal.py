"""Fourier transforms: linear, so the gradient is the transform in the other direction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.ops.composition import composed
from onnxplain.backward.registry import Category, Entry, linear
from onnxplain.backward.view import NodeView
from onnxplain.errors import UnsupportedOperatorError
from onnxplain.graph import facts


def transform(op: Emitter, x: Any, axis: int, *, inverse: int = 0, onesided: int = 0) -> Any:
    """Write a DFT; its axis became an input in opset 20."""
    if op.opset < 20:
        return op.DFT(x, axis=axis, inverse=inverse, onesided=onesided)
    return op.DFT(x, None, op.const(axis), inverse=inverse, onesided=onesided)


@linear("DFT")
def dft(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Adjoint of ``F``: ``n F^-1`` (of ``F^-1``: ``F / n``), on as many elements as were transformed."""
    x, rank, inverse = node.x, node.rank(), node.int("inverse", 0)
    axis = _axis(node) % rank
    given = node.optional(1)
    length = op.dim(x, axis) if given is None else op.Reshape(given, [1])
    if inverse and node.int("onesided", 0):
        return (lambda: _real_inverse(op, node, g, axis),)

    def entry() -> Any:
        whole = _fit(op, g, axis, length) if node.int("onesided", 0) else g
        back = transform(op, whole, axis, inverse=1 - inverse)
        n = op.cast_like(length, x)
        back = back / n if inverse else back * n
        if given is not None:
            back = _fit(op, back, axis, op.dim(x, axis))
        known = facts.static_dim(x, rank - 1)
        return back if known == 2 else op.Slice(back, [0], op.dim(x, rank - 1), [rank - 1])

    return (entry,)


def _real_inverse(op: Emitter, node: NodeView, g: Any, axis: int) -> Any:
    """Adjoint of the transform of half a spectrum to a real signal: all but the two ends count twice."""
    n, size, rank = op.dim(node.y, axis), op.dim(node.x, axis), node.rank()
    half = _fit(op, transform(op, g, axis, onesided=1), axis, size)
    place = op.Reshape(op.indices(size), [-1, *[1] * (rank - 1 - axis)])
    end = op.Or(op.Equal(place, 0), op.Equal(op.Mul(place, 2), n))
    return op.Where(end, half, half * 2.0) / op.cast_like(n, half)


def _axis(node: NodeView) -> int:
    """Read what is an attribute until opset 19 (default 1), an input since (default -2)."""
    if "axis" in node.source.attributes:
        return node.int("axis", 1)
    value = node.optional(2)
    if value is None:
        return 1 if (node.source.version or 20) < 20 else -2
    axis = facts.constant(value)
    if axis is None:
        raise UnsupportedOperatorError(f"{node.label}: the axis must be constant for its gradient")
    return int(axis.reshape(()))


def _fit(op: Emitter, x: Any, axis: int, length: Any) -> Any:
    """Cut an axis to a length, or lengthen it with zeros."""
    missing = op.Max(op.Sub(length, op.Shape(x, start=axis, end=axis + 1)), 0)
    return op.Slice(op.Pad(x, op.concat([0, missing]), None, [axis]), [0], length, [axis])


@composed("STFT", Category.BILINEAR)
def stft(op: Emitter, node: NodeView, signal: Any, step: Any, window: Any = None, length: Any = None) -> Any:
    """Cut the signal (N, time, 1 or 2) into frames, weigh them, and transform each.

    A signal (N, time), as PyTorch writes it, runs as well.
    """
    if node.rank() == 2:
        signal = op.Unsqueeze(signal, [2])
    size = op.Reshape(length, [1]) if length is not None else op.Shape(window)
    frames = op.Shape(node.y, start=1, end=2)
    first = op.Mul(op.cast_like(op.indices(frames), step), step)
    index = op.Add(op.Unsqueeze(op.Cast(first, to=7), [1]), op.indices(op.Cast(size, to=7)))
    cut = op.Gather(signal, index, axis=1)
    if window is not None:
        cut = cut * op.Unsqueeze(window, [1])
    return transform(op, cut, 2, onesided=node.int("onesided", 1))

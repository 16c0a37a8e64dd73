"""Who wins each window of a max pooling: found by comparing, in operators that every runtime has.

The ``Indices`` of MaxPool are missing in many runtimes, and slow in others.  A window's first maximum (its
places in row-major order) lies in the first row whose maximum is the window's, at the first place where that
row has it: one axis after the other, so that a window of 5 x 5 takes 10 comparisons instead of 25.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.ops.windows import Windows
from onnxplain.graph import facts
from onnxplain.graph.poles import has_pole

__all__ = ["to_first_maxima"]


def to_first_maxima(op: Emitter, w: Windows, g: Any) -> Any:
    """Send each window's number to the window's first maximum.

    Parameters
    ----------
    op
        Where to write.
    w
        The windows of a MaxPool.
    g
        A number for each window, in the shape of the pooling's output.
    """
    given = g
    found = op.once(("maxima by axis", w.node.x, w.node.y), lambda: _by_axis(op, w))
    for k, values in enumerate(found):
        masks = op.once(("first maxima", w.node.x, w.node.y, k), partial(_masks, op, w, k, *values))
        g = w.put(op, k, [_pick(op, mask, g) for mask in masks], values[0])
    _name(op, w, given, g, found[0][0])
    return g


def _name(op: Emitter, w: Windows, g: Any, made: ir.Value, behind: ir.Value) -> None:
    """Write on the last node what all of them do, for where there is one operator for it.

    ``behind`` are the maxima along all axes but the first.
    """
    begins, node = w.begin(op), made.producer()
    if node is None or not isinstance(g, ir.Value) or any(isinstance(b, ir.Value) for b in begins):
        return
    described = {"kernel_shape": w.kernel, "strides": w.strides, "dilations": w.dilations, "begins": begins}
    names = [w.node.x.name, w.node.y.name, g.name]
    told = {"MaxPoolGrad": described, "inputs": names, "behind": behind.name}
    node.metadata_props[facts.WRITTEN_KEY] = json.dumps(told)


def _by_axis(op: Emitter, w: Windows) -> list[tuple[ir.Value, ir.Value]]:
    """Return for each spatial axis what is pooled along it, and the maxima; the last axis is pooled first."""
    pooled, maxima = [w.node.x], []
    for k in range(w.n - 1, 0, -1):
        maxima.append(w.along(op, k, pooled[-1]))
        pooled.append(maxima[-1])
    return list(zip(reversed(pooled), [w.node.y, *reversed(maxima)], strict=True))


def _masks(op: Emitter, w: Windows, k: int, x: ir.Value, maxima: ir.Value) -> list[ir.Value]:
    """Return for each place of the windows along an axis where the first maximum lies there: 1, else 0."""
    dtype = x.dtype or ir.DataType.FLOAT
    taps = w.taps(op, k, x, maxima, float(dtype.min))
    masks: list[Any] = []
    free: Any = None
    for tap in taps:
        here = op.Cast(op.Equal(tap, maxima), to=int(dtype))
        masks.append(here if free is None else op.Mul(here, free))
        free = op.Sub(1.0 if free is None else free, masks[-1])
    return masks


def _pick(op: Emitter, mask: ir.Value, g: Any) -> Any:
    """Return ``g`` where the mask is 1, else 0; a product, which is faster, where nothing is infinite."""
    if has_pole(g, op.once(("poles",), dict)):
        return op.keep_where(op.Cast(mask, to=int(ir.DataType.BOOL)), g)
    return op.Mul(mask, g)

"""Maps of layers, and how they become as large as the input: linear maps with constant matrices."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain._types import Shape
from onnxplain.features.lifting import Interpolation, stretched
from onnxplain.graph import facts
from onnxplain.maps.frame import Place
from onnxplain.methods.cams.layers import Layer, Lifted
from onnxplain.runtime.opened import opened

__all__ = ["over_feature", "read_maps", "stretch"]

_DOUBLE = int(ir.DataType.DOUBLE)


def read_maps(frame: Place, layer: Layer, value: ir.Value) -> ir.Value:
    """Bring a layer, or its gradient, into the form (N, C, *grid), float64.

    Raises
    ------
    NotExplainableError
        If it has other axes than samples, channels and space.
    """
    op, axis = frame.op, frame.axis_of(layer.name)
    static = facts.static_shape(opened(frame.problem).values[layer.name]) or ()
    rest = tuple(d for k, d in enumerate(static) if k != axis)
    layer.maps(np.empty((1, *rest)))  # says what is wrong with it
    named = (0, layer.channel, *layer.space)
    order = [*named, *(k for k in range(len(rest) + 1) if k not in named)]
    lead = [rest[k - 1] for k in named[1:]]
    made: Any = op.transpose(frame.first(value, axis), order)
    if len(order) > len(named):
        made = op.Reshape(made, [0, *lead])
    made = op.Cast(made, to=_DOUBLE)
    if layer.grid != tuple(lead[1:]):
        if layer.extra:
            made = op.slice(made, 2, layer.extra, lead[1])
        made = op.Reshape(made, [0, lead[0], *layer.grid])
    made.shape = ir.Shape([None, lead[0], *layer.grid])
    return cast("ir.Value", made)


def stretch(op: Any, maps: ir.Value, grid: Shape, sides: Shape, mode: Interpolation) -> ir.Value:
    """Make maps, (N, *grid), as large as an input, (N, *sides).

    Interpolation is linear in the map, so each axis has a constant matrix: the same numbers on any runtime.
    """
    made, rank = maps, len(grid) + 1
    for axis, (length, side) in enumerate(zip(grid, sides, strict=True), 1):
        if length == side:
            continue
        matrix = op.initializer(stretched(np.eye(length), (side,), mode))  # (length, side)
        made = op.MatMul(op.move_axis(made, rank, axis, rank - 1), matrix)
        made = op.move_axis(made, rank, rank - 1, axis)
    return made


def over_feature(frame: Place, lifted: Lifted, name: str, maps: ir.Value, mode: Interpolation) -> ir.Value:
    """Spread maps, (N, *grid), over a feature, (N, ...), in its dtype."""
    op, shape = frame.op, frame.problem.features[name].shape
    sides = tuple(shape[a] for a in lifted.axes)
    made = stretch(op, maps, lifted.layer.grid, sides, mode)
    wide = op.Reshape(made, [-1, *(d if a in lifted.axes else 1 for a, d in enumerate(shape) if a)])
    if lifted.parts > 1:
        wide = op.Div(wide, float(lifted.parts))
    kind = op.Cast(wide, to=frame.kind_of(name))
    return cast("ir.Value", op.Expand(kind, [1, *shape[1:]]))

"""Resize: linear along each axis, so its gradient is a product with each axis' transposed matrix.

With ``nearest`` it copies values, or leaves some out: relevance goes back the way it came, also to
activations that are 0.  The other modes are averages, and share like average pooling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry, gradient
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts


def _copies(node: ir.Node) -> bool:
    """Tell a resize of which every output is one of the inputs."""
    return facts.attr(node, "mode", "nearest") == "nearest"


@gradient("Resize", Category.LINEAR, moves=_copies)
def resize(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Apply each resized axis' matrix, transposed; whole-number nearest enlargement sums blocks."""
    rank = node.rank()
    axes = [a % rank for a in node.ints("axes", tuple(range(rank)))]
    moved = [a for a in axes if not _unchanged(node, a, axes)]

    def entry() -> Any:
        out = g
        blocks = _blocks(node, moved)
        if blocks is not None:
            return _sum_blocks(op, node, g, moved, blocks)
        for axis in moved:
            matrix = _axis_matrix(op, node, axis, axes)  # (out, in)
            last = op.move_axis(out, rank, axis, rank - 1)
            out = op.move_axis(op.MatMul(last, matrix), rank, rank - 1, axis)
        return op.annotate(out, node.x)

    return (entry,)


def _unchanged(node: NodeView, axis: int, axes: list[int]) -> bool:
    before, after = facts.static_dim(node.x, axis), facts.static_dim(node.y, axis)
    if node.str("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        return False
    if before is not None and before == after:
        return True
    scales = facts.constant(node.optional(2))
    return scales is not None and scales.size > 0 and float(scales[axes.index(axis)]) == 1.0


def _blocks(node: NodeView, moved: list[int]) -> list[int] | None:
    """Whole factors of a nearest enlargement in which each input fills a block, else None."""
    rounding = node.str("nearest_mode", "round_prefer_floor")
    mode = node.str("coordinate_transformation_mode", "half_pixel")
    if node.str("mode", "nearest") != "nearest":
        return None
    if not (mode == "half_pixel" or (mode == "asymmetric" and rounding == "floor")):
        return None
    factors = []
    for axis in moved:
        before, after = facts.static_dim(node.x, axis), facts.static_dim(node.y, axis)
        if not before or not after or after % before:
            return None
        factors.append(after // before)
    if mode == "half_pixel" and (rounding not in ("round_prefer_floor", "round_prefer_ceil")):
        return None
    return factors


def _sum_blocks(op: Emitter, node: NodeView, g: Any, moved: list[int], factors: list[int]) -> Any:
    shape: list[Any] = []
    summed: list[int] = []
    for axis in range(node.rank()):
        shape.append(op.dim(node.x, axis))
        if axis in moved:
            summed.append(len(shape))
            shape.append(factors[moved.index(axis)])
    return op.annotate(op.sum(op.Reshape(g, op.concat(shape)), summed), node.x)


def _axis_matrix(op: Emitter, node: NodeView, axis: int, axes: list[int]) -> Any:
    """Resize an identity matrix along one axis: the axis' matrix, whatever the mode, (out, in)."""
    dtype = node.x.dtype or ir.DataType.FLOAT
    size = op.dim(node.x, axis)
    square = op.ConstantOfShape(op.concat([size, size]), value=ir.tensor(np.zeros(1, dtype.numpy())))
    eye = op.Unsqueeze(op.EyeLike(square, dtype=int(dtype)), [0, 1])
    k = axes.index(axis)
    keep = ("axes", "keep_aspect_ratio_policy", "extrapolation_value")
    attrs = {name: a.value for name, a in node.source.attributes.items() if name not in keep}
    roi = node.optional(1)
    crop = attrs.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    if crop and roi is not None:
        pair = op.Gather(roi, [k, k + len(axes)])
        zeros, ones = np.zeros(1, np.float32), np.ones(1, np.float32)
        a, b = op.Gather(pair, [0]), op.Gather(pair, [1])
        roi = op.Concat(
            op.Concat(zeros, zeros, a, zeros, axis=0), op.Concat(ones, ones, b, ones, axis=0), axis=0
        )
    else:
        roi = None
    scales = node.optional(2)
    empty = facts.constant(scales)
    if scales is not None and not (empty is not None and empty.size == 0):
        one = np.ones(1, np.float32)
        scale = op.Concat(one, one, op.Gather(scales, [k]), one, axis=0)
        matrix = op.Resize(eye, roi, scale, **attrs)
    else:
        made = op.dim(node.y, axis)
        matrix = op.Resize(eye, roi, None, op.concat([1, 1, made, size]), **attrs)
    return op.Squeeze(matrix, [0, 1])

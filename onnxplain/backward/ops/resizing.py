"""Resize: linear along each axis, so its gradient is a product with each axis' transposed matrix.

With ``nearest`` it copies values, or leaves some out: relevance goes back the way it came, also to
activations that are 0.  The other modes are averages, and share like average pooling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain._types import FloatArray
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry, gradient
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts
from onnxplain.graph.resampling import resampling, undecided


def _copies(node: ir.Node) -> bool:
    """Tell a resize of which every output is one of the inputs."""
    return facts.attr(node, "mode", "nearest") == "nearest"


@gradient("Resize", Category.LINEAR, moves=_copies)
def resize(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Apply each resized axis' matrix, transposed; whole-number nearest enlargement sums blocks."""
    rank = node.rank()
    axes = [a % rank for a in node.ints("axes", tuple(range(rank)))]
    moved = [] if _same(node, axes) else [a for a in axes if not _unchanged(node, a, axes)]

    def entry() -> Any:
        out = g
        blocks = _blocks(node, moved, axes)
        if blocks is not None:
            return _sum_blocks(op, node, g, moved, blocks)
        for axis in moved:
            matrix = _axis_matrix(op, node, axis, axes)  # (out, in)
            last = op.move_axis(out, rank, axis, rank - 1)
            out = op.move_axis(op.MatMul(last, matrix), rank, rank - 1, axis)
        return op.annotate(out, node.x)

    return entry, None, None


def _same(node: NodeView, axes: list[int]) -> bool:
    """Tell whether no length changes, which onnxruntime takes for a copy whatever the scales are."""
    if _crops(node):
        return False
    for axis in range(node.rank()):
        before, after = facts.static_dim(node.x, axis), facts.static_dim(node.y, axis)
        kept = axis not in axes or _scale(node, axis, axes) == 1.0
        if not kept and (before is None or before != after):
            return False
    return True


def _crops(node: NodeView) -> bool:
    return node.str("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"


def _unchanged(node: NodeView, axis: int, axes: list[int]) -> bool:
    before, after = facts.static_dim(node.x, axis), facts.static_dim(node.y, axis)
    if _crops(node):
        return False
    scale = _scale(node, axis, axes)
    return before is not None and before == after if scale is None else scale == 1.0


def _scale(node: NodeView, axis: int, axes: list[int]) -> float | None:
    """Return an axis' scale if scales are given, NaN if known only when running.

    A length may stay the same at another scale than 1, and grow by a whole factor at one that is not whole.
    """
    scales = node.optional(2)
    known = facts.constant(scales)
    if known is None:
        return None if scales is None else math.nan
    return float(known[axes.index(axis)]) if known.size else None


def _blocks(node: NodeView, moved: list[int], axes: list[int]) -> list[int] | None:
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
        if _scale(node, axis, axes) not in (None, after // before):
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


def _known_matrix(node: NodeView, axis: int, axes: list[int]) -> FloatArray | None:
    before, after = facts.static_dim(node.x, axis), facts.static_dim(node.y, axis)
    if not before or after is None:
        return None
    scale = _scale(node, axis, axes)
    policy = node.str("keep_aspect_ratio_policy", "stretch")
    if scale is None and policy != "stretch":
        return None
    scale = after / before if scale is None else scale
    if math.isnan(scale):
        return None
    attributes = {name: a.value for name, a in node.source.attributes.items()}
    if before != after and undecided(before, after, scale, attributes):
        return None  # the copy of an identity matrix will tell
    return resampling(before, after, scale, attributes)


def _axis_matrix(op: Emitter, node: NodeView, axis: int, axes: list[int]) -> Any:
    """Return the axis' matrix, (out, in): where lengths vary an identity matrix, resized along one axis."""
    dtype = node.x.dtype or ir.DataType.FLOAT
    known = _known_matrix(node, axis, axes)
    if known is not None:
        return op.const(known.astype(dtype.numpy()))
    single = ir.DataType.FLOAT if _copies(node.source) else dtype  # as onnxruntime rounds places
    size = op.dim(node.x, axis)
    square = op.ConstantOfShape(op.concat([size, size]), value=ir.tensor(np.zeros(1, single.numpy())))
    eye = op.Unsqueeze(op.EyeLike(square, dtype=int(single)), [0, 1])
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
        own = op.Gather(scales, [k])
        own = own if scales.dtype == ir.DataType.FLOAT else op.Cast(own, to=int(ir.DataType.FLOAT))
        scale = op.Concat(one, one, own, one, axis=0)
        matrix = op.Resize(eye, roi, scale, **attrs)
    else:
        made = op.dim(node.y, axis)
        matrix = op.Resize(eye, roi, None, op.concat([1, 1, made, size]), **attrs)
    matrix = op.Squeeze(matrix, [0, 1])
    return matrix if single == dtype else op.Cast(matrix, to=int(dtype))

"""Operators that move values without mixing them: the gradient moves them back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry, gradient
from onnxplain.backward.view import NodeView
from onnxplain.errors import UnsupportedOperatorError
from onnxplain.graph import facts


def reshape_back(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Give g the input's shape."""
    return (lambda: op.reshape_like(g, node.x),)


for _name in ("Reshape", "Flatten", "Squeeze", "Unsqueeze"):
    gradient(_name, Category.STRUCTURAL)(reshape_back)


@gradient("Transpose", Category.STRUCTURAL)
def transpose(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Apply the inverse permutation."""
    perm = node.ints("perm", tuple(reversed(range(node.rank()))))
    return (lambda: op.transpose(g, [int(k) for k in np.argsort(perm)]),)


@gradient("Expand", Category.STRUCTURAL)
def expand(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Sum over the copies."""
    return (lambda: op.unbroadcast(g, node.x, facts.dims(node.y)),)


@gradient("Tile", Category.STRUCTURAL)
def tile(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Put the copies of each axis on an axis of their own, and sum."""
    x, repeats, rank = node.x, node.input(1), node.rank()
    pairs = op.Concat(op.Unsqueeze(repeats, [1]), op.Unsqueeze(op.shape_of(x), [1]), axis=1)
    wide = op.Reshape(g, op.Reshape(pairs, [-1]))
    return (lambda: op.sum(wide, range(0, 2 * rank, 2)), None)


@gradient("Concat", Category.STRUCTURAL)
def concat(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Cut g at the seams."""
    axis = node.axis("axis", 0)

    def entry(k: int) -> Any:
        start: Any = 0
        for part in node.inputs[:k]:
            assert part is not None
            known = facts.static_dim(part, axis)
            start = start + known if isinstance(start, int) and known is not None else op.Add(
                start if not isinstance(start, int) else op.const([start]), op.dim(part, axis)
            )
        length = facts.static_dim(node.input(k), axis)
        if isinstance(start, int) and length is not None:
            return op.slice(g, axis, start, start + length)
        begin = op.const([start]) if isinstance(start, int) else start
        return op.slice(g, axis, begin, op.Add(begin, op.dim(node.input(k), axis)))

    return [(lambda k=k: entry(k)) for k in range(len(node.inputs))]


@gradient("Split", Category.STRUCTURAL, all_outputs=True)
def split(op: Emitter, node: NodeView, *gradients: Any) -> Sequence[Entry]:
    """Join the parts; those without a gradient count as zero."""
    axis = node.axis("axis", 0)
    parts = [op.zeros_like(y) if g is None else g for g, y in zip(gradients, node.outputs, strict=True)]
    return (lambda: op.Concat(*parts, axis=axis), None)


@gradient("Pad", Category.STRUCTURAL)
def pad(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Cut a constant border off; the other modes copy values, and the copies are added up."""
    mode, pads, rank = node.str("mode", "constant"), node.input(1), node.rank()
    axes_value = node.optional(3)
    axes = facts.constant(axes_value)
    if axes_value is not None and axes is None:
        raise UnsupportedOperatorError(f"{node.label}: the axes to pad must be constant for its gradient")
    positions = [int(a) % rank for a in axes] if axes is not None else list(range(rank))
    if mode == "constant":
        fill = node.optional(2)

        def border() -> Any:  # where the fill is a computed value, it gets what the border gets
            assert fill is not None
            inside = op.Pad(op.Pad(g, op.Neg(pads), None, axes_value), pads, None, axes_value)
            return op.reshape_like(op.Sub(op.ReduceSum(g, keepdims=0), op.ReduceSum(inside, keepdims=0)), fill)

        return lambda: op.Pad(g, op.Neg(pads), None, axes_value), None, border

    def entry() -> Any:
        out = g
        for k, axis in enumerate(positions):
            both = op.Gather(pads, [k, k + len(positions)])
            source = op.Pad(op.indices(op.dim(node.x, axis)), both, mode=mode)
            done = positions[: k + 1]
            shape = op.concat([op.dim(node.x if a in done else node.y, a) for a in range(rank)])
            out = op.scatter_add(shape, rank, axis, source, out)
        return out

    return (entry,)


@gradient("DepthToSpace", Category.STRUCTURAL)
def depth_to_space(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Move the pixels back into channels, in the node's channel order."""
    size = node.int("blocksize", 1)
    if node.str("mode", "DCR") == "DCR":
        return (lambda: op.SpaceToDepth(g, blocksize=size),)

    def entry() -> Any:
        n, c, h, w = (op.dim(node.x, k) for k in range(4))
        depth = op.Div(c, size * size)
        blocks = op.Reshape(g, op.concat([n, depth, h, size, w, size]))
        return op.Reshape(op.Transpose(blocks, perm=[0, 1, 3, 5, 2, 4]), op.shape_of(node.x))

    return (entry,)


@gradient("SpaceToDepth", Category.STRUCTURAL)
def space_to_depth(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Move channels back into pixels."""
    return (lambda: op.DepthToSpace(g, blocksize=node.int("blocksize", 1), mode="DCR"),)

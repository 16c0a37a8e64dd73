"""Operators that move values without mixing them: the gradient moves them back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry, gradient
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts


def reshape_back(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Give g the input's shape."""
    return (lambda: op.reshape_like(g, node.x),)


for _name in ("Reshape", "Flatten", "Squeeze", "Unsqueeze"):
    gradient(_name, Category.STRUCTURAL)(reshape_back)


@gradient("Transpose", Category.STRUCTURAL)
def transpose(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Apply the inverse permutation."""
    perm = node.optional_ints("perm") or tuple(reversed(range(node.rank())))
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
    seams = functools.cache(lambda: _seams(op, node, axis))  # once for all entries, if any is needed

    def entry(k: int) -> Any:
        return op.slice(g, axis, seams()[k], seams()[k + 1])

    return [functools.partial(entry, k) for k in range(len(node.inputs))]


def _seams(op: Emitter, node: NodeView, axis: int) -> list[ir.Value | int]:
    """Return where each operand of a Concat begins, and where the last one ends; numbers where known."""
    known, computed = 0, None  # the sum so far, in two parts
    seams: list[ir.Value | int] = [0]
    for k in range(len(node.inputs)):
        length = facts.static_dim(node.input(k), axis)
        if length is not None:
            known += length
        else:
            unknown = op.dim(node.input(k), axis)
            computed = unknown if computed is None else op.Add(computed, unknown)
        seams.append(known if computed is None else op.Add(computed, known) if known else computed)
    return seams


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
    axes = range(rank) if node.optional(3) is None else node.known(3, "the axes")
    positions = [int(a) % rank for a in axes]
    if mode == "constant":
        inside = _unpad(op, node, g, pads, positions)

        def border() -> Any:  # a computed fill gets what the border gets
            sums = [op.ReduceSum(v, keepdims=0) for v in (g, inside())]
            return op.reshape_like(sums[0] - sums[1], node.input(2))

        return inside, None, border

    def entry() -> Any:
        out = g
        for k, axis in enumerate(positions):
            both = op.Gather(pads, [k, k + len(positions)])
            source = op.Pad(op.indices(op.dim(node.x, axis)), both, mode=mode)
            done = positions[: k + 1]
            shape = op.concat([op.dim(node.x if a in done else node.y, a) for a in range(rank)])
            out = op.scatter_add(shape, rank, axis, source, out)
        return out

    return entry, None, None


def _unpad(op: Emitter, node: NodeView, g: Any, pads: ir.Value, axes: list[int]) -> Callable[[], Any]:
    """Cut where pads were added, and put zeros where they were negative."""
    known, n = facts.constant(pads), len(axes)

    def entry() -> Any:
        out = g
        if known is None or (known < 0).any():
            out = op.Pad(out, op.Max(op.Neg(pads), 0), None, axes)
        if known is not None and (known <= 0).all():
            return out
        begin = op.Max(op.Slice(pads, [0], [n], [0]), 0)
        lengths = op.concat([op.dim(node.x, a) for a in axes])
        return op.Slice(out, begin, op.Add(begin, lengths), axes)

    return entry


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
    mode = node.str("mode", "DCR")
    return (lambda: op.DepthToSpace(g, blocksize=node.int("blocksize", 1), mode=mode),)

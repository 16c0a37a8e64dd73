"""Operators that pick values out by index: the gradient is added in where the values came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry, gradient
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts


@gradient("Slice", Category.STRUCTURAL)
def slice_(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Put the cut back between zeros; with steps other than 1, scatter."""
    rank = node.rank()
    steps_value, starts = node.optional(4), facts.constant(node.input(1))
    steps = facts.constant(steps_value)
    count = facts.static_dim(node.input(1), 0)
    axes = np.arange(count or rank) if node.optional(3) is None else node.known(3, "the axes")
    positions = [int(a) % rank for a in axes]
    plain = (steps_value is None or (steps is not None and (steps == 1).all())) and (
        starts is not None and (starts >= 0).all()
    )

    def entry() -> Any:
        if plain:
            assert starts is not None
            return _pad_back(op, node, g, positions, [int(s) for s in starts])
        out = g
        for k, axis in enumerate(positions):
            one = [op.Gather(node.input(i), [k]) for i in (1, 2)]
            step = op.const([1]) if steps_value is None else op.Gather(steps_value, [k])
            picked = op.Slice(op.indices(op.dim(node.x, axis)), *one, [0], step)
            done = positions[: k + 1]
            shape = op.concat([op.dim(node.x if a in done else node.y, a) for a in range(rank)])
            out = op.scatter_add(shape, rank, axis, picked, out)
        return out

    return (entry,)


def _pad_back(op: Emitter, node: NodeView, g: Any, axes: list[int], starts: list[int]) -> Any:
    before = np.zeros(node.rank(), np.int64)
    before[axes] = starts
    whole, part = facts.dims(node.x), facts.dims(node.y)
    assert whole is not None
    ints = part is not None and all(isinstance(whole[a], int) and isinstance(part[a], int) for a in axes)
    if ints:
        assert part is not None
        after = np.zeros_like(before)
        for a in axes:
            total, length = whole[a], part[a]
            assert isinstance(total, int)
            assert isinstance(length, int)
            before[a] = min(before[a], total)
            after[a] = total - length - before[a]
        return op.Pad(g, np.concatenate([before, after]))
    shape = op.shape_of(node.x)
    begin = op.Min(op.const(before), shape)
    return op.Pad(g, op.concat([begin, op.Sub(op.Sub(shape, op.Shape(g)), begin)]))


@gradient("Gather", Category.STRUCTURAL)
def gather(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Add each picked slice in at its index."""
    axis, index = node.axis("axis", 0), node.input(1)
    return (
        lambda: op.scatter_add(op.shape_of(node.x), node.rank(), axis, index, g, node.rank(1)),
        None,
    )


@gradient("GatherElements", Category.STRUCTURAL)
def gather_elements(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Add each element in at its index along the axis."""
    axis = node.axis("axis", 0)
    return (
        lambda: op.ScatterElements(op.zeros_like(node.x), node.input(1), g, axis=axis, reduction="add"),
        None,
    )


@gradient("GatherND", Category.STRUCTURAL)
def gather_nd(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Add each slice in at its index tuple; batch axes become part of the tuple."""
    batch, index = node.int("batch_dims", 0), node.input(1)

    def entry() -> Any:
        full = index
        if batch:
            rank = node.rank(1)
            lead = op.Slice(op.shape_of(index), [0], [rank - 1], [0])
            grids = []
            for k in range(batch):
                line = op.Reshape(
                    op.indices(op.dim(index, k)), op.const([1] * k + [-1] + [1] * (rank - 2 - k))
                )
                grids.append(op.Unsqueeze(op.Expand(line, lead), [-1]))
            full = op.Concat(*grids, index, axis=-1)
        return op.ScatterND(op.zeros_like(node.x), full, g, reduction="add")

    return entry, None


@gradient("Trilu", Category.STRUCTURAL)
def trilu(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Keep the same triangle."""
    return (lambda: op.Trilu(g, node.optional(1), upper=node.int("upper", 1)), None)


@gradient("CumSum", Category.LINEAR)
def cumsum(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Sum from the other end."""
    turned = 1 - node.int("reverse", 0)
    exclusive = node.int("exclusive", 0)
    return (lambda: op.CumSum(g, node.input(1), reverse=turned, exclusive=exclusive), None)


@gradient("TopK", Category.STRUCTURAL, all_outputs=True)
def topk(op: Emitter, node: NodeView, *gradients: Any) -> Sequence[Entry]:
    """Send each value's gradient to where it was found."""
    values = gradients[0]
    axis = node.axis("axis", -1)
    if values is None:
        return None, None
    places: ir.Value = node.outputs[1]
    return (
        lambda: op.ScatterElements(op.zeros_like(node.x), places, values, axis=axis, reduction="add"),
        None,
    )


@gradient("CumProd", Category.REDUCTION)
def cumprod(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Each output's gradient, times the other factors of its product (quadratic, but zeros do no harm)."""
    x, rank = node.x, node.rank()
    axis = int(node.known(1, "the axis").reshape(())) % rank
    turned, exclusive = node.int("reverse", 0), node.int("exclusive", 0)

    def entry() -> Any:
        places = op.indices(op.dim(x, axis))
        own, other = op.Unsqueeze(places, [1]), op.Unsqueeze(places, [0])
        behind = op.Greater(own, other) if turned else op.Less(own, other)  # (own, other)
        reached = behind if exclusive else op.Or(behind, op.Equal(own, other))

        def wide(v: Any) -> Any:  # (..., own, other), the axes behind ``axis`` in front of both
            return op.Unsqueeze(op.move_axis(v, rank, axis, rank - 1), [rank - 1])

        others = op.Where(behind, wide(x), 1.0)
        others = op.CumProd(others, np.array(rank), exclusive=exclusive, reverse=turned)
        after = op.sum(op.Where(reached, wide(g) * others, 0.0), [rank])
        before = op.CumProd(x, node.input(1), exclusive=1, reverse=turned)
        return before * op.move_axis(after, rank, rank - 1, axis)

    return (entry,)


@gradient("Compress", Category.STRUCTURAL)
def compress(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Read each kept slice (without an axis, each element) from its place in g; the others are 0."""
    x, kept = node.x, op.Cast(node.input(1), to=int(ir.DataType.INT64))
    along = "axis" in node.source.attributes
    axis = node.axis("axis", 0) if along else 0

    def entry() -> Any:
        length = op.dim(x, axis) if along else op.Reshape(op.Size(x), [1])
        places = op.Mul(op.CumSum(kept, 0), kept)  # from 1
        places = op.Pad(places, op.concat([0, op.Sub(length, op.Shape(kept))]))  # it may be shorter
        picked = op.Gather(op.Pad(g, [1, 0], None, [axis]), places, axis=axis)
        return picked if along else op.reshape_like(picked, x)

    return (entry,)

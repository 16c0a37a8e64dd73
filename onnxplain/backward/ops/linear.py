"""Matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry, gradient, linear
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts


@gradient("MatMul", Category.LINEAR, wrt=(0, 1))
def matmul(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Multiply g B^T and A^T g, with NumPy's rules for vectors and batches."""
    a, b = node.x, node.input(1)
    ra, rb = node.rank(0), node.rank(1)
    if ra == 1:
        g = op.Unsqueeze(g, [-2 if rb > 1 else -1])
    if rb == 1:
        g = op.Unsqueeze(g, [-1])
    a2 = op.Unsqueeze(a, [0]) if ra == 1 else a
    b2 = op.Unsqueeze(b, [1]) if rb == 1 else b

    def left() -> Any:
        return _back(op, op.MatMul(g, _swap(op, b2, max(rb, 2))), a, b, 0)

    def right() -> Any:
        ra2, rb2 = max(ra, 2), max(rb, 2)
        if rb2 == 2 and ra2 > 2:  # one matrix for the whole batch: one large product
            rows = op.Reshape(a2, op.concat([-1, op.dim(a2, -1)]))
            grads = op.Reshape(g, op.concat([-1, op.dim(b2, 1)]))
            return _back(op, op.MatMul(op.Transpose(rows, perm=[1, 0]), grads), b, a, 1, summed=True)
        return _back(op, op.MatMul(_swap(op, a2, ra2), g), b, a, 1)

    return left, right


def _swap(op: Emitter, x: ir.Value, rank: int) -> ir.Value:
    return op.transpose(x, [*range(rank - 2), rank - 1, rank - 2])


def _back(
    op: Emitter, part: ir.Value, x: ir.Value, other: ir.Value, which: int, summed: bool = False
) -> ir.Value:
    """Remove the axis given to a vector, and sum over the batch axes along which x was broadcast."""
    if facts.rank(x) == 1:
        part = op.Squeeze(part, [-2 if which == 0 else -1])
        keep = 1
    else:
        keep = 2
    mine, theirs = facts.dims(x), facts.dims(other)
    assert mine is not None
    assert theirs is not None
    if summed:
        return op.annotate(part, x)
    batch = facts.broadcast_dims(mine[:-keep], theirs[:-2])
    assert batch is not None
    return op.unbroadcast(part, x, (*batch, *mine[-keep:]), keep=keep)


@linear("Gemm", wrt=(0, 1))
def gemm(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Y = alpha A' B' + beta C, where ' may transpose."""
    a, b, c = node.x, node.input(1), node.optional(2)
    alpha, beta = node.float("alpha", 1.0), node.float("beta", 1.0)
    ta, tb = node.int("transA", 0), node.int("transB", 0)

    def left() -> Any:
        if ta:
            return op.Gemm(b, g, transA=tb, transB=1, alpha=alpha)
        return op.Gemm(g, b, transB=1 - tb, alpha=alpha)

    def right() -> Any:
        if tb:
            return op.Gemm(g, a, transA=1, transB=ta, alpha=alpha)
        return op.Gemm(a, g, transA=1 - ta, alpha=alpha)

    def offset() -> Any:
        assert c is not None
        return op.unbroadcast(g * beta if beta != 1.0 else g, c, facts.dims(node.y))

    return left, right, offset


@gradient("Det", Category.REDUCTION)
def det(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Multiply by the cofactors, determinants of the minors (right where singular too; for small ones)."""
    x, rank = node.x, node.rank()
    if facts.static_dim(x, rank - 1) == 1:
        return (lambda: op.reshape_like(g, x),)

    def entry() -> Any:
        places = op.indices(op.dim(x, rank - 1))
        row, rest = op.Unsqueeze(places, [1]), op.Unsqueeze(op.Slice(places, [0], [-1], [0]), [0])
        others = op.Add(rest, op.Cast(op.GreaterOrEqual(rest, row), to=7))  # (n, n - 1): all but its own
        minors = op.Gather(op.Gather(x, others, axis=-2), others, axis=-1)  # (..., i, n - 1, j, n - 1)
        minors = op.transpose(minors, [*range(rank - 1), rank, rank - 1, rank + 1])
        odd = op.Mod(op.Add(row, op.Unsqueeze(places, [0])), 2)
        signs = 1 - 2 * op.cast_like(odd, x)
        return op.Unsqueeze(g, [-2, -1]) * signs * op.Det(minors)

    return (entry,)

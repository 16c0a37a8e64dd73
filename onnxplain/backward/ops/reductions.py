"""Reductions: the output's gradient is stretched back over the axes that were reduced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry, gradient
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts


def stretched(op: Emitter, node: NodeView, value: ir.Value) -> ir.Value:
    """Give a reduced value its axes back, with length 1, so that it broadcasts against the input."""
    if node.int("keepdims", 1):
        return value
    axes = node.optional(1)
    constant = facts.constant(axes)
    if axes is None or (constant is not None and not constant.size):
        if node.int("noop_with_empty_axes", 0):
            return value
        return cast("ir.Value", op.Reshape(value, [1] * node.rank()))
    return cast("ir.Value", op.Unsqueeze(value, axes))


def reduction(
    op_type: str,
    derivative: Callable[[Emitter, NodeView, Callable[[], Any]], Any],
    category: Category = Category.REDUCTION,
) -> None:
    """Register a reduction by its derivative in terms of the node and its stretched output."""

    @gradient(op_type, category)
    def vjp(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
        def entry() -> Any:
            local = derivative(op, node, lambda: stretched(op, node, node.y))
            wide = stretched(op, node, g)
            return op.expand_like(wide if local is None else wide * local, node.x)

        return (entry,)


def _count(op: Emitter, node: NodeView) -> Any:
    """How many elements each output averages over, in the input's dtype."""
    ratio = op.Div(op.Size(node.x), op.Size(node.y))
    return op.cast_like(ratio, node.x)


def _winners(op: Emitter, node: NodeView, y: Callable[[], Any]) -> Any:
    """1 at the extremum, shared evenly on a tie."""
    wins = op.Cast(op.Equal(node.x, y()), to=int(node.x.dtype or 1))
    axes = node.optional(1)
    noop = node.int("noop_with_empty_axes", 0)
    return wins / op.ReduceSum(wins, axes, keepdims=1, noop_with_empty_axes=noop)


def _product(op: Emitter, node: NodeView, y: Callable[[], Any]) -> Any:
    """Product of the others: y / x, and with zeros the product without that one zero."""
    x = node.x
    axes, noop = node.optional(1), node.int("noop_with_empty_axes", 0)
    is_zero = op.Equal(x, 0.0)
    zeros = op.Cast(is_zero, to=int(node.x.dtype or 1))
    count = op.ReduceSum(zeros, axes, keepdims=1, noop_with_empty_axes=noop)
    safe = op.Where(is_zero, 1.0, x)
    rest = op.ReduceProd(safe, axes, keepdims=1, noop_with_empty_axes=noop)
    return op.keep_where(op.Equal(count - zeros, 0.0), rest / safe)


def _direction(op: Emitter, x: Any, norm: Any) -> Any:
    """Return x over its norm, 0 where both are 0."""
    return x / op.Where(op.Equal(norm, 0.0), 1.0, norm)


reduction("ReduceSum", lambda op, node, y: None, Category.LINEAR)
reduction("ReduceMean", lambda op, node, y: op.Reciprocal(_count(op, node)), Category.LINEAR)
reduction("ReduceMax", _winners)
reduction("ReduceMin", _winners)
reduction("ReduceProd", _product)
reduction("ReduceL1", lambda op, node, y: op.Sign(node.x))
reduction("ReduceL2", lambda op, node, y: _direction(op, node.x, y()))
reduction("ReduceSumSquare", lambda op, node, y: 2 * node.x)
reduction("ReduceLogSum", lambda op, node, y: op.Exp(-y()))
reduction("ReduceLogSumExp", lambda op, node, y: op.Exp(node.x - y()))

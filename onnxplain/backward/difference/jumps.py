"""DeepLIFT where values jump: comparisons, truth values, choices by a condition, the largest of many.

With c and c0 what is said of the input and of the reference, as 0 or 1:

===================  ======================================================================================
comparisons a, b     ``m (c - c0) / (da - db)`` to a, the opposite to b: a step function of ``a - b``
not, and, or         as 1 - c, the product, and ``1 - (1 - a)(1 - b)``, which are linear in each operand
c ? a : b            ``m (c + c0) / 2`` to a, ``m (1 - (c + c0) / 2)`` to b and ``m (a + a0 - b - b0) / 2`` to
                     the condition: a sum of products.  Where c = c0 it is the gradient
if                   the branch that the input picks, as any body; to the condition what the reference would
                     have got from it, less what it got from its own branch
measured integers    ``m dc / dx``, both runs in the units of the input's range
hardmax              ``dy sum(m dy) / sum(dx dy)``: a step function of the difference of the two winners
===================  ======================================================================================
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from onnxplain.backward.difference.reference_input import reference_of, varies, walk_dtype
from onnxplain.backward.difference.secant import difference, middle, number, quotient
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import BackwardFunction, Entry
from onnxplain.backward.rules.base import Binding
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts
from onnxplain.graph.patterns.measured import range_of

__all__ = ["JUMPS", "Choice"]


def _comparison(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    a, b = node.x, node.input(1)

    def share() -> Any:
        change = gradients[0] * difference(op, node.y)
        return quotient(op, change, _between(op, a, b), 0.0)

    return share, lambda: -share()


def _between(op: Emitter, a: ir.Value, b: ir.Value) -> Any:
    """Return the difference of ``a - b``."""
    if not varies(op, b):
        return difference(op, a)
    return -difference(op, b) if not varies(op, a) else difference(op, a) - difference(op, b)


def _negation(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    return (lambda: -gradients[0],)


def _both(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    g, a, b = gradients[0], node.x, node.input(1)
    return lambda: g * middle(op, b), lambda: g * middle(op, a)


def _either(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    g, a, b = gradients[0], node.x, node.input(1)
    return lambda: g * (1.0 - middle(op, b)), lambda: g * (1.0 - middle(op, a))


def _cast(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    """Numbers of truth values and integers are what they are; the way there is a step function."""
    g, x = gradients[0], node.x

    def entry() -> Any:
        if facts.is_float(x):
            return quotient(op, op.cast_like(g, x) * difference(op, node.y), difference(op, x), 0.0)
        dtype = walk_dtype(op)
        return g if g.dtype == dtype else op.Cast(g, to=int(dtype))

    return (entry,)


def _hardmax(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    axis = node.axis("axis", -1)

    def entry() -> Any:
        dx, dy = difference(op, node.x), difference(op, node.y)
        gained, crossed = (op.sum(v * dy, [axis], keepdims=True) for v in (gradients[0], dx))
        return dy * quotient(op, gained, crossed, 0.0)

    return (entry,)


def _switch(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    """Give the branch what it gets, and the condition what it changes at the reference."""
    g, c, y = gradients[0], node.x, node.input(1)

    def condition() -> Any:
        return g * (reference_of(op, y) - reference_of(op, node.y)) * difference(op, c)

    return condition, g, None


def _measured(op: Emitter, node: NodeView, /, *gradients: Any) -> Mapping[ir.Value, Any]:
    """Round by a measured range: one function of each element, in the units of the input's range."""
    found = range_of(node.source)
    assert found is not None
    g, dc, dx = gradients[0], difference(op, node.y), difference(op, found.x)
    return {found.x: quotient(op, g * dc, dx, g / found.scale)}


#: What marked operators do (:mod:`onnxplain.graph.passes.prepare.mark_steps`).
JUMPS: dict[str, BackwardFunction] = {
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Xor"), _comparison),
    "And": _both,
    "Cast": _cast,
    "Hardmax": _hardmax,
    "Not": _negation,
    "Or": _either,
    "Sub": _measured,
    "Where": _switch,
}


@dataclass(frozen=True)
class Choice:
    """``Where``: the gradient; where the choice differs at the reference, the condition gets a share.

    Where the branch that was not chosen is infinite or no number, the condition gets all.
    """

    name: str = "choice"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient if the condition depends on what is explained."""
        return _choice if 0 in binding.active else None


def _choice(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
    g, (c, a, b) = gradients[0], (node.input(k) for k in range(3))
    c0, a0, b0 = (reference_of(op, v) for v in (c, a, b))
    differs = op.Xor(c, c0)
    mixed = op.And(differs, _all_finite(op, (a, a0, b, b0)))
    alone = op.Where(differs, 0.0, op.cast_like(c, g))

    def condition() -> Any:
        dy = difference(op, node.y)
        apart = middle(op, a) - middle(op, b)
        whole = op.Where(_finite(op, dy), dy * difference(op, c), 0.0)
        return g * op.Where(differs, op.Where(mixed, apart, whole), 0.0)

    def chosen() -> Any:
        return g * op.Where(mixed, 0.5, alone)

    def other() -> Any:
        rest = op.Where(differs, 0.0, op.cast_like(op.Not(c), g))
        return g * op.Where(mixed, 0.5, rest)

    return condition, chosen, other


def _finite(op: Emitter, value: ir.Value) -> Any:
    return op.Less(op.Abs(number(op, value)), float("inf"))


def _all_finite(op: Emitter, values: Sequence[ir.Value]) -> Any:
    return functools.reduce(op.And, [_finite(op, v) for v in dict.fromkeys(values)])

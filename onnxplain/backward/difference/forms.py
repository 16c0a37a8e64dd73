"""How pairs of multipliers go through operators, by form; see :mod:`onnxplain.backward.difference.pairs`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.difference.pairs import (
    Form,
    Found,
    Pair,
    Parts,
    both,
    parts_of,
    signs,
    three_ways,
)
from onnxplain.backward.difference.reference_input import reference_of
from onnxplain.backward.difference.secant import difference, number, quotient
from onnxplain.backward.difference.second_forward import is_boundary
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import written
from onnxplain.backward.rules.base import only, propagate
from onnxplain.backward.rules.operands import part_of
from onnxplain.backward.rules.pieces import again, interior
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts
from onnxplain.graph.traits import Is, movers, operators

__all__ = ["FORMS", "Nonlinear"]

#: Functions that are no number everywhere, or infinite somewhere.
_PARTIAL = operators(Is.ELEMENTWISE, some=Is.PARTIAL | Is.POLE | Is.OVERFLOWS)

#: Functions that jump.
_STEPS = operators(Is.ELEMENTWISE | Is.JUMPS)


def _replaced(node: NodeView | ir.Node, k: int, value: Any) -> list[Any]:
    return [value if j == k else v for j, v in enumerate(node.inputs)]


@dataclass(frozen=True)
class Layer(Form):
    """A linear layer: parts of the weights meet parts of the input's difference."""

    data: int
    weight: int

    def parts(self, op: Emitter, node: ir.Node) -> Parts:
        """Return the parts of the output."""
        x = node.inputs[self.data]
        assert x is not None
        (up, down), views = signs(op, difference(op, x)), self._views(op, node)

        def through(view: Sequence[ir.Value | None], part: Any) -> Any:
            return op.clone(node, [part if k == self.data else v for k, v in enumerate(view)])[0]

        return (
            through(views[0], up) + through(views[1], down),
            through(views[1], up) + through(views[0], down),
        )

    def __call__(self, op: Emitter, node: NodeView, /, *gradients: Any) -> Found:
        """Hand the multipliers on."""
        g = gradients[0]
        if not isinstance(g, Pair):
            return propagate(op, node, g)
        views = self._views(op, node.source)

        def back(which: int, part: Any) -> Any:
            inputs = list(views[which])
            inputs[self.data] = node.input(self.data)
            return written(propagate(op, node.with_inputs(*inputs), part)[self.data])

        def entry() -> Any:
            raised = back(0, g.positive) + back(1, g.negative)
            lowered = back(1, g.positive) + back(0, g.negative)
            return three_ways(op, difference(op, node.input(self.data)), raised, lowered)

        return only(node, self.data, entry)

    def _views(self, op: Emitter, node: ir.Node) -> tuple[list[ir.Value | None], list[ir.Value | None]]:
        """Return the inputs with the positive and with the negative weights, without a bias."""
        weight = node.inputs[self.weight]
        assert weight is not None
        alpha = NodeView.of(node).float("alpha", 1.0)
        up, down = (part_of(op, weight, part, 0.0, alpha) for part in ("positive", "negative"))
        count = 2 if node.op_type in ("Conv", "ConvTranspose", "Gemm") else len(node.inputs)
        kept = node.inputs[:count]

        def with_weight(w: ir.Value) -> list[ir.Value | None]:
            return [w if k == self.weight else v for k, v in enumerate(kept)]

        return with_weight(up), with_weight(down)


@dataclass(frozen=True)
class Positive(Form):
    """A linear operator whose weights are positive."""

    def parts(self, op: Emitter, node: ir.Node) -> Parts:
        """Return the parts of the output."""
        x = node.inputs[0]
        assert x is not None
        up, down = (op.clone(node, _replaced(node, 0, p))[0] for p in signs(op, difference(op, x)))
        return up, down

    def __call__(self, op: Emitter, node: NodeView, /, *gradients: Any) -> Found:
        """Hand the multipliers on."""

        def entry() -> Any:
            up, down = (written(propagate(op, node, half)[0]) for half in both(gradients[0]))
            return up if up is down else three_ways(op, difference(op, node.x), up, down)

        if not isinstance(gradients[0], Pair):
            return propagate(op, node, gradients[0])
        return [entry, *[None] * (len(node.inputs) - 1)]


@dataclass(frozen=True)
class Total(Form):
    """A sum of several values that vary."""

    active: tuple[int, ...]

    def _terms(self, op: Emitter, node: ir.Node | NodeView) -> dict[int, tuple[float, Any]]:
        """Return the factor and the difference of each operand, as it is added."""
        share = 1.0 / len(node.inputs) if node.op_type == "Mean" else 1.0
        terms = {}
        for k in self.active:
            value = node.inputs[k]
            assert value is not None
            factor = -share if node.op_type == "Sub" and k == 1 else share
            d = difference(op, value)
            terms[k] = factor, d if factor == 1.0 else op.Mul(d, factor)
        return terms

    def parts(self, op: Emitter, node: ir.Node) -> Parts:
        """Return the parts of the output."""
        each = [signs(op, d) for _, d in self._terms(op, node).values()]
        up, down = (op.expand_like(op.Sum(*column), node.outputs[0]) for column in zip(*each, strict=True))
        return up, down

    def __call__(self, op: Emitter, node: NodeView, /, *gradients: Any) -> Found:
        """Hand the multipliers on."""
        g = gradients[0]
        if not isinstance(g, Pair):
            return propagate(op, node, g)
        terms = self._terms(op, node)

        def entry(factor: float, d: Any) -> Any:
            part = three_ways(op, d, g.positive, g.negative)
            return part if factor == 1.0 else op.Mul(part, factor)

        return [entry(*terms[k]) if k in terms else None for k in range(len(node.inputs))]


@dataclass(frozen=True)
class Scaled(Form):
    """One varying value, moved, shifted or scaled."""

    position: int
    factor: Callable[[Emitter, ir.Node | NodeView], Any] | None = None
    moves: bool = False

    def before(self, node: ir.Node) -> ir.Value | None:
        """Return the value whose parts it needs."""
        return node.inputs[self.position]

    def parts(self, op: Emitter, node: ir.Node) -> Parts:
        """Return the parts of the output."""
        x, y = node.inputs[self.position], node.outputs[0]
        assert x is not None
        up, down = parts_of(op, x)
        if self.moves:
            up, down = (op.clone(node, _replaced(node, self.position, p))[0] for p in (up, down))
            return up, down
        if self.factor is not None:
            c = self.factor(op, node)
            plus, minus = signs(op, c)
            up, down = up * plus + down * minus, down * plus + up * minus
        return op.expand_like(up, y), op.expand_like(down, y)

    def __call__(self, op: Emitter, node: NodeView, /, *gradients: Any) -> Found:
        """Hand the multipliers on."""
        g = gradients[0]
        if not isinstance(g, Pair):
            return propagate(op, node, g)
        if self.moves:
            halves = [written(propagate(op, node, half)[self.position]) for half in both(g)]
        elif self.factor is None:
            halves = list(both(g))
        else:
            c = self.factor(op, node)
            raises = op.Greater(c, 0.0)
            halves = [
                c * op.Where(raises, a, b) for a, b in ((g.positive, g.negative), (g.negative, g.positive))
            ]
        return only(node, self.position, Pair(*halves))


@dataclass(frozen=True)
class Nonlinear(Form):
    """``y = f(x)``, a node or a piece of several."""

    source: ir.Value
    position: int | None

    def before(self, node: ir.Node) -> ir.Value | None:
        """Return the value whose parts it needs."""
        return self.source

    def parts(self, op: Emitter, node: ir.Node) -> Parts:
        """See the module."""
        up, down = parts_of(op, self.source)
        x0 = reference_of(op, self.source)
        y, y0 = (number(op, v) for v in (node.outputs[0], reference_of(op, node.outputs[0])))
        raised, lowered = (number(op, self._at(op, node, x0 + part)) for part in (up, down))
        first = ((raised - y0) + (y - lowered)) * 0.5
        second = ((lowered - y0) + (y - raised)) * 0.5
        if self._has(node, _PARTIAL):  # no number where only one part of the difference is added, perhaps
            first, second = self._within(op, (first, second), (raised, lowered), y, y0)
        if self._has(node, _STEPS):  # a part that is not there takes no step, whatever rounding says
            whole = y - y0
            alone = op.Equal(up, 0.0), op.Equal(down, 0.0)
            first = op.Where(alone[0], 0.0, op.Where(alone[1], whole, first))
            second = op.Where(alone[1], 0.0, op.Where(alone[0], whole, second))
        return first, second

    def _has(self, node: ir.Node, op_types: frozenset[str]) -> bool:
        """Tell whether f is one of some operators, or made of some."""
        inside = [node] if self.position is not None else interior(node, self.source)
        return any(n.op_type in op_types for n in inside)

    def _within(self, op: Emitter, parts: Parts, middle: Parts, y: Any, y0: Any) -> Parts:
        """Go by the one order that stays where f is a number; by the sign of the difference if none does."""
        at_raised, at_lowered = (op.Less(op.Abs(m), float("inf")) for m in middle)
        (first, second), (raised, lowered) = parts, middle
        by_sign = signs(op, y - y0)
        lower_first = y - lowered, lowered - y0
        raise_first = raised - y0, y - raised
        made = []
        for mean, a, b, none in zip((first, second), raise_first, lower_first, by_sign, strict=True):
            made.append(op.Where(at_raised, op.Where(at_lowered, mean, a), op.Where(at_lowered, b, none)))
        return made[0], made[1]

    def _at(self, op: Emitter, node: ir.Node, x: Any) -> Any:
        """Return f elsewhere."""
        x = op.annotate(x, self.source)
        if self.position is not None:
            return op.clone(node, _replaced(node, self.position, x))[0]
        return again(op, node, self.source, x)

    def __call__(self, op: Emitter, node: NodeView, /, *gradients: Any) -> Found:
        """Hand the multipliers on."""

        def back() -> Pair:
            halves = []
            for m, dy, dx in zip(
                both(gradients[0]), parts_of(op, node.y), parts_of(op, self.source), strict=True
            ):
                halves.append(m * quotient(op, dy, dx, 0.0))
            return Pair(*halves)

        if self.position is None:
            return {self.source: back()}
        return only(node, self.position, back())


def _minus_one(op: Emitter, node: ir.Node | NodeView) -> Any:
    return op.cast_like(op.const(np.float32(-1.0)), node.outputs[0])


def _other_operand(op: Emitter, node: ir.Node | NodeView) -> Any:
    a, b = node.inputs
    assert a is not None
    assert b is not None
    return b if reference_of(op, a) is not a else a


def _inverse(op: Emitter, node: ir.Node | NodeView) -> Any:
    return op.Reciprocal(node.inputs[1])


#: What says for a node, and the positions of its inputs that vary, which form its pairs take (None: none).
_Choose = Callable[[ir.Node, tuple[int, ...]], "Form | None"]


def _layer(node: ir.Node, active: tuple[int, ...]) -> Form | None:
    """Say that weights must be constant, and there must be two factors."""
    if len(active) != 1 or len(node.inputs) < 2 or None in node.inputs[:2]:
        return None
    other = 1 - active[0]
    rest = [v for v in (node.inputs[other], *node.inputs[2:]) if v is not None]
    two = node.op_type != "Einsum" or len(node.inputs) == 2
    return Layer(active[0], other) if two and all(facts.is_constant(v) for v in rest) else None


def _positive(node: ir.Node, active: tuple[int, ...]) -> Form | None:
    return Positive() if active == (0,) else None


def _sum(node: ir.Node, active: tuple[int, ...]) -> Form | None:
    """Add several values up, or shift one; the mean of one value and constants has no form."""
    if len(active) > 1:
        return Total(active)
    if len(active) != 1 or node.op_type == "Mean":
        return None
    return Scaled(active[0], _minus_one if node.op_type == "Sub" and active == (1,) else None)


def _scaled(factor: Callable[[Emitter, ir.Node | NodeView], Any], *positions: int) -> _Choose:
    """Return the choice for operators that scale one value, at one of some positions."""

    def choose(node: ir.Node, active: tuple[int, ...]) -> Form | None:
        return Scaled(active[0], factor) if len(active) == 1 and active[0] in positions else None

    return choose


def _moved(node: ir.Node, active: tuple[int, ...]) -> Form | None:
    return Scaled(0, moves=True) if active == (0,) and not is_boundary(node) else None


#: By operator: how pairs go through it, where it is linear in one value or adds several up.
FORMS: dict[str, _Choose] = {
    **dict.fromkeys(operators(Is.LAYER), _layer),
    **dict.fromkeys(operators(Is.AVERAGES), _positive),
    **dict.fromkeys(("Add", "Mean", "Sub", "Sum"), _sum),
    "Neg": _scaled(_minus_one, 0),
    "Mul": _scaled(_other_operand, 0, 1),
    "Div": _scaled(_inverse, 0),
    **dict.fromkeys(movers(lacks=Is.FILLS | Is.PICKS | Is.RANDOM) - {"Split"}, _moved),  # of one output
}

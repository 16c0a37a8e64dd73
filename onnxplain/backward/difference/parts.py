"""The parts of differences that RevealCancel works on, and how pairs of multipliers go through operators.

Every value v has a positive and a negative part, ``dv = D+ + D-``, which depend on what made it:

======================  ===================================================================================
linear layer            ``D+ = L(w+; dx+) + L(w-; dx-)``, ``D- = L(w-; dx+) + L(w+; dx-)``
sum of varying values   ``D+`` and ``D-`` are the sums of the operands' positive and negative differences
movers, scales, biases  the parts of the input, moved; exchanged where the scale is negative
nonlinearity f          ``D+ = 1/2 [f(x0 + X+) - f(x0)] + 1/2 [f(x) - f(x0 + X-)]``, ``D-`` likewise,
                        where X+ and X- are the parts of its input (one of the two orders where f is no
                        number in between)
anything else           ``dv`` where it is positive, and where it is negative
======================  ===================================================================================

The walk carries a pair of multipliers that goes with the parts.  Each operator turns the pair at its output
into a pair, or a single multiplier, at its input, such that ``m+ D+ + m- D-`` stays what it is.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import onnx_ir as ir

from onnxplain.backward.difference.reference_input import reference_of
from onnxplain.backward.difference.secant import difference, number, quotient
from onnxplain.backward.emitter import Emitter, Pair
from onnxplain.backward.registry import BackwardFunction, Entry
from onnxplain.backward.rules.base import only, propagate, written
from onnxplain.backward.rules.operands import part_of
from onnxplain.backward.rules.pieces import again, interior
from onnxplain.backward.view import NodeView

__all__ = [
    "FORM",
    "LAYERS",
    "MOVERS",
    "POSITIVE",
    "Form",
    "Layer",
    "Nonlinear",
    "Other",
    "Positive",
    "Scaled",
    "Total",
]

_Parts: TypeAlias = tuple[Any, Any]
_Found: TypeAlias = "Sequence[Entry] | Mapping[ir.Value, Any]"

#: Layers of two factors.
LAYERS = frozenset({"Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"})
#: Linear operators whose weights are positive.
POSITIVE = frozenset({"AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum"})
#: Operators that move their first input about.
MOVERS = frozenset(
    """Cast DepthToSpace Expand Flatten Identity Reshape Slice SpaceToDepth Squeeze Tile Transpose
    Unsqueeze""".split()
)

#: Functions that are no number everywhere, or infinite somewhere.
_PARTIAL = frozenset(["Acos", "Acosh", "Asin", "Atanh", "Div", "Log", "Mod", "Pow", "Reciprocal", "Sqrt"])

#: Functions that jump.
_STEPS = frozenset(
    """And Cast Ceil Equal Floor Greater GreaterOrEqual Less LessOrEqual Mod Not Or Round Sign Where
    Xor""".split()
)

FORM = "onnxplain.parts"


def _parts(op: Emitter, value: ir.Value) -> _Parts:
    """Return the positive and the negative part of a value's difference, written once."""
    waiting = [] if ("parts", value) in op.memo else [value]
    while waiting:  # from the nearest value whose parts are known, however far that is
        current = waiting[-1]
        node, form = current.producer(), _form(current)
        before = None if form is None or node is None else form.before(node)
        if before is not None and ("parts", before) not in op.memo:
            waiting.append(before)
            continue
        waiting.pop()
        if form is None or node is None:
            op.memo["parts", current] = _signs(op, difference(op, current))
        else:
            op.memo["parts", current] = tuple(op.annotate(p, current) for p in form.parts(op, node))
    made: _Parts = op.memo["parts", value]
    return made


def _form(value: ir.Value) -> Form | None:
    """Return the form of the node that makes a value, if it has parts of its own."""
    node = value.producer()
    held = None if node is None else node.meta.get(FORM)
    if held is None or held[0] is not node:  # it is that of another copy
        return None
    return held[1] if isinstance(held[1], Form) else None


def _signs(op: Emitter, d: Any) -> _Parts:
    """Return the positive and the negative part of a difference."""
    return op.Max(d, 0.0), op.Min(d, 0.0)


def _by_sign(op: Emitter, d: Any, g: Any) -> Any:
    """Return the half of a pair that is for the sign of a difference; the mean of both where it is 0."""
    if not isinstance(g, Pair):
        return g
    return _three_ways(op, d, g.positive, g.negative)


def _three_ways(op: Emitter, d: Any, positive: Any, negative: Any) -> Any:
    rest = op.Where(op.Less(d, 0.0), negative, (positive + negative) * 0.5)
    return op.Where(op.Greater(d, 0.0), positive, rest)


def _pair(g: Any) -> tuple[Any, Any]:
    return (g.positive, g.negative) if isinstance(g, Pair) else (g, g)


def _replaced(node: NodeView | ir.Node, k: int, value: Any) -> list[Any]:
    return [value if j == k else v for j, v in enumerate(node.inputs)]


class Form(abc.ABC):
    """How the parts of a node's output are made, and how a pair is walked back."""

    takes_pairs: ClassVar[bool] = True

    def before(self, node: ir.Node) -> ir.Value | None:
        """Return the value whose parts those of the node's output are made of, if there is one."""
        return None

    @abc.abstractmethod
    def parts(self, op: Emitter, node: ir.Node) -> _Parts:
        """Return the parts of the output's difference."""

    @abc.abstractmethod
    def __call__(self, op: Emitter, node: NodeView, /, *gradients: Any) -> _Found:
        """Walk back."""


@dataclass(frozen=True)
class Other:
    """No parts of its own: one multiplier, by the sign of the output's difference, and the rule for that.

    Parameters
    ----------
    function
        The rule (None: the gradient).
    mixes
        Whether it speaks for nodes that mix elements, and so looks after unchosen ones itself.
    """

    takes_pairs: ClassVar[bool] = True
    function: BackwardFunction | None
    mixes: bool = False

    def __call__(self, op: Emitter, node: NodeView, /, *gradients: Any) -> _Found:
        """Hand the multipliers on."""
        single = [
            _by_sign(op, difference(op, o), g) if isinstance(g, Pair) else g
            for o, g in zip(node.outputs, gradients, strict=False)
        ]
        return (self.function or propagate)(op, node, *single)


@dataclass(frozen=True)
class Layer(Form):
    """A linear layer: parts of the weights meet parts of the input's difference."""

    data: int
    weight: int

    def parts(self, op: Emitter, node: ir.Node) -> _Parts:
        """Return the parts of the output."""
        x = node.inputs[self.data]
        assert x is not None
        (up, down), views = _signs(op, difference(op, x)), self._views(op, node)

        def through(view: Sequence[ir.Value | None], part: Any) -> Any:
            return op.clone(node, [part if k == self.data else v for k, v in enumerate(view)])[0]

        return (
            through(views[0], up) + through(views[1], down),
            through(views[1], up) + through(views[0], down),
        )

    def __call__(self, op: Emitter, node: NodeView, /, *gradients: Any) -> _Found:
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
            return _three_ways(op, difference(op, node.input(self.data)), raised, lowered)

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

    def parts(self, op: Emitter, node: ir.Node) -> _Parts:
        """Return the parts of the output."""
        x = node.inputs[0]
        assert x is not None
        up, down = (op.clone(node, _replaced(node, 0, p))[0] for p in _signs(op, difference(op, x)))
        return up, down

    def __call__(self, op: Emitter, node: NodeView, /, *gradients: Any) -> _Found:
        """Hand the multipliers on."""

        def entry() -> Any:
            up, down = (written(propagate(op, node, half)[0]) for half in _pair(gradients[0]))
            return up if up is down else _three_ways(op, difference(op, node.x), up, down)

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

    def parts(self, op: Emitter, node: ir.Node) -> _Parts:
        """Return the parts of the output."""
        signs = [_signs(op, d) for _, d in self._terms(op, node).values()]
        up, down = (op.expand_like(op.Sum(*column), node.outputs[0]) for column in zip(*signs, strict=True))
        return up, down

    def __call__(self, op: Emitter, node: NodeView, /, *gradients: Any) -> _Found:
        """Hand the multipliers on."""
        g = gradients[0]
        if not isinstance(g, Pair):
            return propagate(op, node, g)
        terms = self._terms(op, node)

        def entry(factor: float, d: Any) -> Any:
            part = _three_ways(op, d, g.positive, g.negative)
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

    def parts(self, op: Emitter, node: ir.Node) -> _Parts:
        """Return the parts of the output."""
        x, y = node.inputs[self.position], node.outputs[0]
        assert x is not None
        up, down = _parts(op, x)
        if self.moves:
            up, down = (op.clone(node, _replaced(node, self.position, p))[0] for p in (up, down))
            return up, down
        if self.factor is not None:
            c = self.factor(op, node)
            plus, minus = _signs(op, c)
            up, down = up * plus + down * minus, down * plus + up * minus
        return op.expand_like(up, y), op.expand_like(down, y)

    def __call__(self, op: Emitter, node: NodeView, /, *gradients: Any) -> _Found:
        """Hand the multipliers on."""
        g = gradients[0]
        if not isinstance(g, Pair):
            return propagate(op, node, g)
        if self.moves:
            halves = [written(propagate(op, node, half)[self.position]) for half in _pair(g)]
        elif self.factor is None:
            halves = list(_pair(g))
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

    def parts(self, op: Emitter, node: ir.Node) -> _Parts:
        """See the module."""
        up, down = _parts(op, self.source)
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

    def _within(self, op: Emitter, parts: _Parts, middle: _Parts, y: Any, y0: Any) -> _Parts:
        """Go by the one order that stays where f is a number; by the sign of the difference if none does."""
        at_raised, at_lowered = (op.Less(op.Abs(m), float("inf")) for m in middle)
        (first, second), (raised, lowered) = parts, middle
        by_sign = _signs(op, y - y0)
        lower_first = y - lowered, lowered - y0
        raise_first = raised - y0, y - raised
        made = []
        for both, a, b, none in zip((first, second), raise_first, lower_first, by_sign, strict=True):
            made.append(op.Where(at_raised, op.Where(at_lowered, both, a), op.Where(at_lowered, b, none)))
        return made[0], made[1]

    def _at(self, op: Emitter, node: ir.Node, x: Any) -> Any:
        """Return f elsewhere."""
        x = op.annotate(x, self.source)
        if self.position is not None:
            return op.clone(node, _replaced(node, self.position, x))[0]
        return again(op, node, self.source, x)

    def __call__(self, op: Emitter, node: NodeView, /, *gradients: Any) -> _Found:
        """Hand the multipliers on."""

        def back() -> Pair:
            halves = []
            for m, dy, dx in zip(
                _pair(gradients[0]), _parts(op, node.y), _parts(op, self.source), strict=True
            ):
                halves.append(m * quotient(op, dy, dx, 0.0))
            return Pair(*halves)

        if self.position is None:
            return {self.source: back()}
        return only(node, self.position, back())

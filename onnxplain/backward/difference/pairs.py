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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import onnx_ir as ir

from onnxplain.backward.cotangent import Several
from onnxplain.backward.difference.reference_input import reference_of
from onnxplain.backward.difference.secant import difference
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import BackwardFunction, Entry
from onnxplain.backward.rules.base import propagate
from onnxplain.backward.view import NodeView

__all__ = ["Form", "Found", "Other", "Pair", "Parts", "both", "by_sign", "parts_of", "signs", "three_ways"]

Parts: TypeAlias = tuple[Any, Any]
Found: TypeAlias = "Sequence[Entry] | Mapping[ir.Value, Any]"


@dataclass(frozen=True)
class Pair(Several):
    """Two multipliers: for the positive and for the negative part of a difference."""

    positive: ir.Value
    negative: ir.Value

    @property
    def values(self) -> tuple[ir.Value, ...]:
        """Both."""
        return self.positive, self.negative

    def remade(self, values: Sequence[ir.Value]) -> Pair:
        """Return a pair of other multipliers."""
        return Pair(*values)

    def single(self, op: Emitter, value: ir.Value) -> ir.Value:
        """Return the half that goes with the sign of a value's difference."""
        above = op.Greater(value, reference_of(op, value))
        made: ir.Value = op.Where(above, self.positive, self.negative)
        return made


def parts_of(op: Emitter, value: ir.Value) -> Parts:
    """Return the positive and the negative part of a value's difference, written once."""
    waiting = [] if ("parts", value) in op.memo else [value]
    while waiting:  # from the nearest value whose parts are known, however far that is
        current = waiting[-1]
        node, form = current.producer(), _form(op, current)
        before = None if form is None or node is None else form.before(node)
        if before is not None and ("parts", before) not in op.memo:
            waiting.append(before)
            continue
        waiting.pop()
        if form is None or node is None:
            op.memo["parts", current] = signs(op, difference(op, current))
        else:
            op.memo["parts", current] = tuple(op.annotate(p, current) for p in form.parts(op, node))
    made: Parts = op.memo["parts", value]
    return made


def _form(op: Emitter, value: ir.Value) -> Form | None:
    """Return the form of the node that makes a value, if it has parts of its own."""
    node = value.producer()
    bound = None if node is None or op.rules is None else op.rules.function(node)
    return bound if isinstance(bound, Form) else None


def signs(op: Emitter, d: Any) -> Parts:
    """Return the positive and the negative part of a difference."""
    return op.Max(d, 0.0), op.Min(d, 0.0)


def by_sign(op: Emitter, d: Any, g: Any) -> Any:
    """Return the half of a pair that is for the sign of a difference; the mean of both where it is 0."""
    if not isinstance(g, Pair):
        return g
    return three_ways(op, d, g.positive, g.negative)


def three_ways(op: Emitter, d: Any, positive: Any, negative: Any) -> Any:
    """Choose by the sign of a difference; the mean of both where it is 0."""
    rest = op.Where(op.Less(d, 0.0), negative, (positive + negative) * 0.5)
    return op.Where(op.Greater(d, 0.0), positive, rest)


def both(g: Any) -> tuple[Any, Any]:
    """Return both multipliers, which may be one and the same."""
    return (g.positive, g.negative) if isinstance(g, Pair) else (g, g)


class Form(abc.ABC):
    """How the parts of a node's output are made, and how a pair is walked back."""

    takes_several: ClassVar[bool] = True

    def before(self, node: ir.Node) -> ir.Value | None:
        """Return the value whose parts those of the node's output are made of, if there is one."""
        return None

    @abc.abstractmethod
    def parts(self, op: Emitter, node: ir.Node) -> Parts:
        """Return the parts of the output's difference."""

    @abc.abstractmethod
    def __call__(self, op: Emitter, node: NodeView, /, *gradients: Any) -> Found:
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

    takes_several: ClassVar[bool] = True
    function: BackwardFunction | None
    mixes: bool = False

    def __call__(self, op: Emitter, node: NodeView, /, *gradients: Any) -> Found:
        """Hand the multipliers on."""
        single = [
            by_sign(op, difference(op, o), g) if isinstance(g, Pair) else g
            for o, g in zip(node.outputs, gradients, strict=False)
        ]
        return (self.function or propagate)(op, node, *single)

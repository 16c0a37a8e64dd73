"""What every modified rule is: a name, and how it binds to a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Protocol

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import BackwardFunction, Entry, lookup, written
from onnxplain.backward.view import NodeView
from onnxplain.graph.patterns.written_norms import MOVERS, WrittenNorm

__all__ = [
    "GRADIENT",
    "Binding",
    "Gradient",
    "Pass",
    "Product",
    "Rule",
    "SignalOnly",
    "Stop",
    "moved_back",
    "only",
    "propagate",
]


@dataclass(frozen=True)
class Binding:
    """Where a rule is to be used.

    Attributes
    ----------
    node
        The node.
    active
        Positions of the inputs that lie on the path, among those that the operator's category speaks of.
    source
        Where the node closes a piece that is one function of each element: the value it is a function of.
    signal
        Where the node is a product of a signal and a gate: the position of the signal.
    norm
        Where the node closes a normalisation that is written out in several nodes: which one.
    rectified
        Where nothing arrives at an output that is not positive, since a ReLU follows: the ReLU's output.
    """

    node: ir.Node
    active: tuple[int, ...]
    source: ir.Value | None = None
    signal: int | None = None
    rectified: ir.Value | None = None
    norm: WrittenNorm | None = None


class Rule(Protocol):
    """A modified backward rule: hashable data that binds to nodes.

    A rule that gives in proportion to the input (nothing where the input is 0) may say so by an attribute
    ``proportional``: rules below then leave out what nobody will ask for.  One that can take a normalisation
    of several nodes (:attr:`Binding.norm`) for one says so by ``takes_written_norms``.
    """

    @property
    def name(self) -> str:
        """Name shown in the rule table."""

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Return what to run in place of the node's gradient (None: the gradient itself).

        Raises
        ------
        UnsupportedRuleError
            If the rule makes no sense for the node.
        """


def propagate(op: Emitter, node: NodeView, *gradients: Any) -> Sequence[Entry]:
    """Run a node's own gradient function."""
    rule = lookup(node)
    assert rule is not None
    assert rule.vjp is not None
    found = rule.vjp(op, node, *gradients)
    assert not isinstance(found, Mapping)
    return found


def only(node: NodeView, position: int, entry: Any) -> list[Any]:
    """Return the entries of a node of which one input alone gets something."""
    return [entry if k == position else None for k in range(len(node.inputs))]


@dataclass(frozen=True)
class Gradient:
    """The ordinary gradient; for operators that move values it is also what every relevance rule does."""

    name: str = "gradient"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Keep the node's gradient."""
        return None


@dataclass(frozen=True)
class Pass:
    """Give the output's relevance to the input unchanged: ``R_x = R_y``.

    For elementwise functions, pieces that are one, and normalisations.  Further operands (the slope of
    PRelu, the scale of a normalisation) get nothing, unless the first does not depend on what is explained.
    """

    name: str = "pass"
    takes_written_norms: ClassVar[bool] = True

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Pass to the first active input."""
        if binding.norm is not None:
            return partial(_pass_norm, binding.norm)
        return _all_to(binding.active[0] if binding.active else 0, binding.source)


@dataclass(frozen=True)
class Product:
    """Products of values that both depend on the input.

    * a signal times a gate (what comes out of a sigmoid or a softmax): all to the signal (Arras et al. 2017)
    * a quotient: all to the numerator
    * two signals: each half
    """

    name: str = "product"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Share out what arrives."""
        active = binding.active or (0,)
        if len(active) == 1 or binding.node.op_type != "Mul" or binding.source is not None:
            return _all_to(active[0], binding.source)
        if binding.signal is not None:
            return _all_to(binding.signal, None)
        twice = binding.node.inputs[0] is binding.node.inputs[1]

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
            if twice:
                return gradients[0], None
            half = gradients[0] / len(active)
            return [half if k in active else None for k in range(len(node.inputs))]

        return function


@dataclass(frozen=True)
class SignalOnly:
    """Where one factor of a product is a gate, take it for a constant; else, and then, go by another rule."""

    rule: Rule
    name: str = "signal_only"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Bind the rule to the signal alone."""
        if binding.signal is not None:
            binding = replace(binding, active=(binding.signal,))
        return self.rule.bind(binding)


@dataclass(frozen=True)
class Stop:
    """Let nothing through: what lies behind counts as constant."""

    name: str = "stop"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Give nothing to any input."""
        return lambda op, node, *gradients: [None] * len(node.inputs)


def moved_back(op: Emitter, norm: WrittenNorm, g: Any) -> Any:
    """Bring what arrives at the end of a normalisation into the order of what is normalised."""
    for mover in reversed([n for n in norm.tail if n.op_type in MOVERS]):
        g = written(propagate(op, NodeView.of(mover), g)[0])
    return g


def _pass_norm(norm: WrittenNorm, op: Emitter, node: NodeView, /, *gradients: Any) -> Any:
    """Give all to what is normalised."""
    return {norm.source: moved_back(op, norm, gradients[0])}


def _all_to(position: int, source: ir.Value | None) -> BackwardFunction:
    """Give all to one input, or to a value further back."""

    def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Any:
        if source is not None:
            return {source: gradients[0]}
        return only(node, position, gradients[0])

    return function


GRADIENT = Gradient()

"""Which operator has which gradient, and which kind of operator it is.

The verb that registers an operator says what it is::

    elementwise("Sigmoid", lambda op, x, y: y * (1 - y))     # dy/dx; the engine's g is multiplied in

    @gradient("Mul", Category.BILINEAR, broadcasts=True)
    def mul(op, node, g):
        a, b = node.inputs
        return lambda: g * b, lambda: g * a                   # one lazy entry per input

    zero("Floor")                                             # the derivative is 0 wherever it exists
    nondifferentiable("ArgMax", reason="its output is an index")
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.view import NodeView
from onnxplain.graph.facts import GRADIENT_KEY

__all__ = [
    "BackwardFunction",
    "Category",
    "CollectiveFunction",
    "Entry",
    "OperatorRule",
    "collective",
    "elementwise",
    "gradient",
    "linear",
    "lookup",
    "nondifferentiable",
    "registered",
    "written",
    "zero",
]


class Category(enum.Enum):
    """What an operator does with its values; modified rules dispatch on it."""

    ELEMENTWISE = "elementwise"
    SUM = "sum"
    LINEAR = "linear"
    BILINEAR = "bilinear"
    STRUCTURAL = "structural"
    REDUCTION = "reduction"
    POOLING = "pooling"
    NORMALIZATION = "normalization"
    RECURRENT = "recurrent"
    CONTROL_FLOW = "control_flow"
    ZERO = "zero"
    NONDIFFERENTIABLE = "nondifferentiable"


#: What a rule says of one input: no gradient, a value, or how to write it if it is needed.
Entry: TypeAlias = "ir.Value | Callable[[], ir.Value | None] | None"


def written(entry: Entry) -> Any:
    """Write an entry that may be lazy."""
    return entry() if callable(entry) and not isinstance(entry, ir.Value) else entry


class BackwardFunction(Protocol):
    """Signature of gradients and modified rules."""

    def __call__(
        self, op: Emitter, node: NodeView, /, *gradients: Any
    ) -> Sequence[Entry] | Mapping[ir.Value, Any]:
        """Return one entry per input, given the gradient of each output (None where there is none).

        A modified rule may return entries by value instead, for values that are not inputs of the node.
        """


class CollectiveFunction(Protocol):
    """Signature of the gradients of operators with subgraphs, which use values that are not their inputs."""

    def __call__(
        self, op: Emitter, node: NodeView, needed: Sequence[ir.Value], /, *gradients: Any
    ) -> Mapping[ir.Value, ir.Value]:
        """Return the gradients of the needed values: inputs, and values captured from the outer graph."""


@dataclass(frozen=True)
class OperatorRule:
    """One row of the table.

    Attributes
    ----------
    op_type, domain
        The operator.
    category
        What it does with its values.
    vjp
        Its gradient; None for operators through which none flows.
    broadcasts
        Whether entries come with the output's shape, to be summed over broadcast axes by the engine.
    all_outputs
        Whether ``vjp`` takes one gradient per output, instead of that of the first alone.
    any_type
        Whether values that are no floats are handed something, too (differences have a meaning there,
        gradients have none).
    wrt
        Inputs in which the operator is linear, for categories where that matters.
    reason
        Why there is no gradient, for non-differentiable operators.
    collective
        In place of ``vjp``: the gradients of inputs and captured values, all at once.
    moves
        Says of a node whether its attributes make it one that merely moves values.
    """

    op_type: str
    category: Category
    vjp: BackwardFunction | None
    domain: str = ""
    broadcasts: bool = False
    all_outputs: bool = False
    any_type: bool = False
    wrt: tuple[int, ...] = (0,)
    reason: str = ""
    collective: CollectiveFunction | None = None
    moves: Callable[[ir.Node], bool] | None = None

    @cached_property
    def moving(self) -> OperatorRule:
        """The row of nodes that merely move values."""
        return replace(self, category=Category.STRUCTURAL)


_TABLE: dict[tuple[str, str], OperatorRule] = {}


def _register(rule: OperatorRule) -> None:
    key = (rule.domain, rule.op_type)
    if key in _TABLE:
        raise ValueError(f"operator {key} is registered twice")
    _TABLE[key] = rule


def lookup(node: ir.Node | NodeView) -> OperatorRule | None:
    """Return a node's row of the table, or None if its operator has none.

    A node that a graph pass wrote may name its gradient itself (:data:`~onnxplain.graph.facts.GRADIENT_KEY`).
    """
    source = node.source if isinstance(node, NodeView) else node
    named = source.metadata_props.get(GRADIENT_KEY)
    if named is not None:
        return _TABLE[GRADIENT_KEY, named]
    domain = "" if source.domain == "ai.onnx" else source.domain
    row = _TABLE.get((domain, source.op_type))
    return row.moving if row is not None and row.moves is not None and row.moves(source) else row


def registered() -> Iterable[OperatorRule]:
    """Return all rows, in the order of registration."""
    return tuple(_TABLE.values())


def elementwise(op_type: str, derivative: Callable[[Emitter, ir.Value, ir.Value], Any]) -> None:
    """Register ``y = f(x)``, applied to each element, by ``f'`` in terms of x and y."""

    def vjp(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
        return (lambda: gradients[0] * derivative(op, node.x, node.y),)

    _register(OperatorRule(op_type, Category.ELEMENTWISE, vjp))


def gradient(
    op_type: str,
    category: Category,
    *,
    domain: str = "",
    broadcasts: bool = False,
    all_outputs: bool = False,
    any_type: bool = False,
    wrt: Sequence[int] = (0,),
    moves: Callable[[ir.Node], bool] | None = None,
) -> Callable[[BackwardFunction], BackwardFunction]:
    """Register the decorated function as an operator's gradient."""

    def register(function: BackwardFunction) -> BackwardFunction:
        row = OperatorRule(op_type, category, function, domain, broadcasts, all_outputs, any_type, tuple(wrt))
        _register(replace(row, moves=moves))
        return function

    return register


def linear(op_type: str, *, wrt: int | Sequence[int] = 0) -> Callable[[BackwardFunction], BackwardFunction]:
    """Register the gradient of an operator that is linear in the inputs ``wrt``."""
    inputs = (wrt,) if isinstance(wrt, int) else tuple(wrt)
    return gradient(op_type, Category.LINEAR, wrt=inputs)


def collective(op_type: str, category: Category) -> Callable[[CollectiveFunction], CollectiveFunction]:
    """Register the decorated function as the gradient of an operator with subgraphs."""

    def register(function: CollectiveFunction) -> CollectiveFunction:
        _register(OperatorRule(op_type, category, None, all_outputs=True, collective=function))
        return function

    return register


def zero(*op_types: str, domain: str = "") -> None:
    """Register operators that are constant almost everywhere: no gradient flows, rightly."""
    for op_type in op_types:
        _register(OperatorRule(op_type, Category.ZERO, None, domain))


def nondifferentiable(*op_types: str, reason: str, domain: str = "") -> None:
    """Register operators that have no gradient in principle, and why."""
    for op_type in op_types:
        _register(OperatorRule(op_type, Category.NONDIFFERENTIABLE, None, domain, reason=reason))

"""Which operator keeps samples apart, and where they lie in its outputs.

A rule reads where the samples lie in a node's inputs and says where they lie in its outputs, or raises
:class:`~onnxplain.graph.batch.values.Mixes` with the reason::

    @rule("Softmax", "LogSoftmax", "Hardmax")
    def softmax(node: Node) -> Result:
        node.apart(0, node.integer("axis", -1))      # refuses if samples lie along this axis
        return node.x.at
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from onnxplain.graph.batch.values import At, Found

if TYPE_CHECKING:
    from onnxplain.graph.batch.node import Node

__all__ = ["Result", "Row", "lookup", "registered", "rule"]

#: One place for all outputs, or one value or place for each.
Result: TypeAlias = "At | Found | Sequence[At | Found | None] | None"
Rule: TypeAlias = "Callable[[Node], Result]"


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes
    ----------
    function
        The rule.
    reads
        Inputs whose content it takes into account, so that they may depend on the batch size.
    always
        Whether it is asked even if no input depends on the batch.
    cleans
        Inputs with numbers of samples that it takes care of.
    """

    function: Rule
    reads: tuple[int, ...] = ()
    always: bool = False
    cleans: tuple[int, ...] = ()


_TABLE: dict[tuple[str, str], Row] = {}


def rule(
    *op_types: str,
    domain: str = "",
    reads: Iterable[int] = (),
    always: bool = False,
    cleans: Iterable[int] = (),
) -> Callable[[Rule], Rule]:
    """Register the decorated function for operators."""

    def register(function: Rule) -> Rule:
        for op_type in op_types:
            if (domain, op_type) in _TABLE:
                raise ValueError(f"operator {(domain, op_type)} is registered twice")
            _TABLE[domain, op_type] = Row(function, tuple(reads), always, tuple(cleans))
        return function

    return register


def lookup(domain: str, op_type: str) -> Row | None:
    """Return an operator's row, None if it has none."""
    return _TABLE.get(("" if domain == "ai.onnx" else domain, op_type))


def registered() -> tuple[tuple[str, str], ...]:
    """Return domain and name of every operator in the table."""
    return tuple(_TABLE)

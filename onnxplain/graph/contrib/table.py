"""The table of contributed operators, and what the entries share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.writer import Writer

__all__ = ["CONTRIB", "contrib", "inputs", "number", "whole"]

#: Returns one value per output, None for one that is not written out (and must then be unused).
Decomposition: TypeAlias = "Callable[[Writer, ir.Node], Sequence[ir.Value | None]]"

#: By name of the operator.
CONTRIB: dict[str, Decomposition] = {}


def contrib(*op_types: str) -> Callable[[Decomposition], Decomposition]:
    """Register the decorated function as what writes these operators out."""

    def register(function: Decomposition) -> Decomposition:
        CONTRIB.update(dict.fromkeys(op_types, function))
        return function

    return register


def inputs(node: ir.Node, count: int) -> list[Any]:
    """Return a node's inputs, None for those that it leaves out."""
    return [*node.inputs, *[None] * count][:count]


def number(node: ir.Node, name: str, default: float) -> float:
    """Return a float attribute."""
    value = facts.attr(node, name, default)
    assert isinstance(value, (int, float))
    return float(value)


def whole(node: ir.Node, name: str, default: int) -> int:
    """Return an integer attribute."""
    value = facts.attr(node, name, default)
    assert isinstance(value, int)
    return value

"""The table of operators that are written out in operators of the standard, and what the entries share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.writer import Writer

__all__ = [
    "CLASSIC",
    "CONTRIB",
    "DECOMPOSITIONS",
    "classic",
    "contrib",
    "decomposition",
    "inputs",
    "number",
    "numbers",
    "whole",
]

#: Domain of onnxruntime's own operators.
CONTRIB = "com.microsoft"
#: Domain of the standard's operators for classical machine learning.
CLASSIC = "ai.onnx.ml"

#: Returns one value per output, None for one that is not written out (and must then be unused).
Decomposition: TypeAlias = "Callable[[Writer, ir.Node], Sequence[ir.Value | None]]"

#: By domain and name of the operator.
DECOMPOSITIONS: dict[tuple[str, str], Decomposition] = {}


def decomposition(domain: str, *op_types: str) -> Callable[[Decomposition], Decomposition]:
    """Register the decorated function as what writes these operators out."""

    def register(function: Decomposition) -> Decomposition:
        DECOMPOSITIONS.update(dict.fromkeys([(domain, op_type) for op_type in op_types], function))
        return function

    return register


contrib = partial(decomposition, CONTRIB)
classic = partial(decomposition, CLASSIC)


def inputs(node: ir.Node, count: int) -> list[Any]:
    """Return a node's inputs, None for those that it leaves out."""
    return [*node.inputs, *[None] * count][:count]


def number(node: ir.Node, name: str, default: float) -> float:
    """Return a float attribute."""
    value = facts.attr(node, name, default)
    assert isinstance(value, (int, float))
    return float(value)


def numbers(node: ir.Node, name: str) -> Array:
    """Return an attribute of several floats, as a float32 vector (empty if the node does not carry it)."""
    return np.asarray(facts.attr(node, name, ()), np.float32)


def whole(node: ir.Node, name: str, default: int) -> int:
    """Return an integer attribute."""
    value = facts.attr(node, name, default)
    assert isinstance(value, int)
    return value

"""The walk from the inputs on: each value's codes, and the node that mixed players first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, IntArray
from onnxplain.graph import facts
from onnxplain.graph.columns.codes import MIXED
from onnxplain.graph.columns.rules import Seen, outputs_of
from onnxplain.graph.evaluate import evaluate, is_pure
from onnxplain.graph.traits import Is, is_a

__all__ = ["Columns", "follow"]


@dataclass
class Columns:
    """Which player each element of each value depends on.

    Attributes
    ----------
    codes
        By value: int64, shaped like one sample of it; 0 for none, ``k + 1`` for player k alone, -1 for
        several.  None where the shape is not known.
    mixers
        By value that holds what several players made: the first node that mixed them.
    """

    codes: dict[ir.Value, IntArray | None] = field(default_factory=dict)
    mixers: dict[ir.Value, ir.Node] = field(default_factory=dict)

    def code(self, value: ir.Value | None) -> IntArray | None:
        """Return a value's codes; those of a constant are all 0."""
        if value is not None and facts.is_constant(value):
            return np.zeros(facts.static_shape(value) or (), np.int64)
        return None if value is None else self.codes.get(value)

    def free(self, value: ir.Value | None) -> bool:
        """Tell whether a value depends on no player."""
        if value is None:
            return True
        code = self.code(value)
        return code is not None and not code.any()

    def apart(self, value: ir.Value) -> bool:
        """Tell whether each element depends on one player at most."""
        code = self.code(value)
        return code is not None and not (code == MIXED).any()


def follow(graph: ir.Graph, players: Mapping[str, IntArray], opset: int) -> Columns:
    """Follow players from the inputs to all values.

    Parameters
    ----------
    graph
        A graph in normal form, with the shapes that its values have for one sample.
    players
        By input or inner value: which player each element is, -1 for nobody's; of its shape for one sample.
        Inputs that are not named are nobody's.
    opset
        Version of the standard.
    """
    found = Columns()
    known: dict[ir.Value, Array] = {}
    for value in graph.inputs:
        given, shape = players.get(str(value.name)), facts.static_shape(value)
        if given is not None:
            found.codes[value] = np.asarray(given, np.int64) + 1
        else:
            found.codes[value] = None if shape is None else np.zeros(shape, np.int64)
    for node in graph:
        _step(node, found, known, opset)
        for value in node.outputs:
            if str(value.name) in players:
                found.codes[value] = np.asarray(players[str(value.name)], np.int64) + 1
                found.mixers.pop(value, None)
    return found


def _step(node: ir.Node, found: Columns, known: dict[ir.Value, Array], opset: int) -> None:
    codes = [None if v is None else found.code(v) for v in node.inputs]
    lost = any(v is not None and c is None for v, c in zip(node.inputs, codes, strict=True))
    bodies = any(a.type == ir.AttributeType.GRAPH for a in node.attributes.values())
    if lost or bodies:
        found.codes |= dict.fromkeys(node.outputs, None)
        _blame(node, found)
        return
    content = [_content(v, known) for v in node.inputs]
    if is_a(node, Is.SHAPE_ONLY):
        made = evaluate(node, codes, opset)
        codes = [None if c is None else np.zeros_like(c) for c in codes]
    else:
        ready = all(c is not None for v, c in zip(node.inputs, content, strict=True) if v is not None)
        made = evaluate(node, content, opset) if ready and is_pure(node) else None
    if made is not None:
        for value, array in zip(node.outputs, made, strict=True):
            known[value], found.codes[value] = array, np.zeros(array.shape, np.int64)
        return
    found.codes |= zip(node.outputs, outputs_of(Seen(node, codes, content, opset)), strict=True)
    _blame(node, found)


def _content(value: ir.Value | None, known: Mapping[ir.Value, Array]) -> Array | None:
    return None if value is None else known.get(value, facts.constant(value))


def _blame(node: ir.Node, found: Columns) -> None:
    """Remember who mixed players first."""
    before = next((found.mixers[v] for v in node.inputs if v in found.mixers), node)
    for value in node.outputs:
        if not found.apart(value):
            found.mixers[value] = before

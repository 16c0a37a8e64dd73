"""One row for a whole batch: where what one reference (or sample) makes broadcasts to all rows.

The batch proof of :mod:`onnxplain.graph.batch`, for the program itself, says along which axis samples lie in
every value.  What the rest reads of the one row broadcasts by itself where an elementwise operator reads it
beside a value that surely has all rows there; elsewhere it is expanded first.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain.graph.batch import Batch
from onnxplain.graph.build import Ops
from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.graph.traits import Is, is_a
from onnxplain.runtime.parts.cut import Cut

__all__ = ["Expansion", "expand", "expansions"]

#: What is expanded: names, axes, ranks.
Expansion: TypeAlias = "tuple[tuple[str, int, int], ...]"


def expansions(parts: Cut, proof: Batch) -> Expansion | None:
    """Return what must be expanded if the front ran for one row.

    Parameters
    ----------
    parts
        Of a program.
    proof
        Where samples lie in its values, by name, as it was before it was lowered.

    Returns
    -------
    None if it is not proven where samples lie in what is given.
    """
    found = []
    back = parts.back.graph
    inputs = {str(v.name): v for v in back.inputs}
    known = {k: _Place(axis, proof.ranks[k]) for k, axis in proof.axes.items() if k in proof.ranks}
    for node in parts.front.graph:
        _learn(node, known)
    for name in parts.given:
        if name not in known:
            return None
        axis, rank = known[name]
        if axis is None:
            continue
        whole = {k for k, place in known.items() if place.end == axis - rank}.difference(parts.given)
        uses = inputs[name].uses()
        if not all(use.node.graph is back and _spreads(use.node, whole) for use in uses):
            found.append((name, axis, rank))
    return tuple(found)


class _Place(NamedTuple):
    """The axis of a value along which samples lie, None if there is none, and how many axes it has."""

    axis: int | None
    rank: int

    @property
    def end(self) -> int | None:
        """The axis, counted from behind the last."""
        return None if self.axis is None else self.axis - self.rank


def _learn(node: ir.Node, known: dict[str, _Place]) -> None:
    """Add where samples lie in what an elementwise node of a lowered program makes of known values."""
    if not (_broadcasts(node) or is_a(node, Is.ELEMENTWISE)) or len(node.outputs) != 1:
        return
    made, places = str(node.outputs[0].name), []
    for value in (v for v in node.inputs if v is not None):
        fixed = value.const_value
        place = known.get(str(value.name)) if fixed is None else _Place(None, len(fixed.shape))
        if place is None:
            return
        places.append(place)
    ends = {place.end for place in places if place.end is not None}
    if made not in known and places and len(ends) < 2:
        rank = max(place.rank for place in places)
        known[made] = _Place(rank + ends.pop() if ends else None, rank)


def _broadcasts(node: ir.Node) -> bool:
    return (node.domain, node.op_type) == (DOMAIN, "Elementwise") or is_a(node, Is.BROADCASTS)


def _spreads(node: ir.Node, whole: Collection[str]) -> bool:
    """Whether a node's result surely has all rows, by an operand that has them, whatever another has."""
    return _broadcasts(node) and any(v is not None and v.name in whole for v in node.inputs)


def expand(back: ir.Model, wanted: Expansion, sample: tuple[str, int]) -> None:
    """Write the expansions.

    Parameters
    ----------
    back
        What reads what the front makes.
    wanted
        What is expanded.
    sample
        An input that has all rows, and the axis along which they lie.
    """
    if not wanted:
        return
    graph = back.graph
    inputs = {str(v.name): v for v in graph.inputs}
    name, axis = sample
    op = Ops(graph, graph.opset_imports[""], "onnxplain/rows")
    rows = op.Shape(inputs[name], start=axis, end=axis + 1)
    for name, axis, rank in wanted:
        value = inputs[name]
        ones = [np.ones(k, np.int64) for k in (axis, rank - axis - 1)]
        expanded = op.Expand(value, op.Concat(ones[0], rows, ones[1], axis=0))
        expanded.type = value.type
        maker = expanded.producer()
        for node, k in [(use.node, use.idx) for use in value.uses()]:
            if node is not maker:
                node.replace_input_with(k, expanded)
    graph.sort()

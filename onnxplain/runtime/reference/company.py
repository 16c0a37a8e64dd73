"""One row of a reference for a whole batch: where its activations broadcast to those of the samples.

The batch proof of :mod:`onnxplain.graph.batch`, for the program itself, says along which axis samples lie in
every value.  What the walk reads of one row of the reference broadcasts by itself where an elementwise
operator reads it beside a value that surely has all rows there; elsewhere it is expanded first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain.graph.batch import Batch
from onnxplain.graph.build import Ops
from onnxplain.graph.passes.lower import DOMAIN
from onnxplain.graph.traits import Is, is_a

__all__ = ["Expansion", "expand", "expansions"]

#: What is expanded: names, axes, ranks.
Expansion: TypeAlias = "tuple[tuple[str, int, int], ...]"


def expansions(back: ir.Graph, given: Sequence[str], proof: Batch) -> Expansion | None:
    """Return what must be expanded if one row of the reference is given for all.

    Parameters
    ----------
    back
        What reads it.
    given
        Names of its inputs that come from the reference.
    proof
        Where samples lie in values, by name.

    Returns
    -------
    None if it is not proven where samples lie in what is given.
    """
    found = []
    inputs = {str(v.name): v for v in back.inputs}
    for name in given:
        if name not in proof.axes:
            return None
        axis, rank = proof.axes[name], proof.ranks.get(name)
        if axis is None:
            continue
        if rank is None:
            return None
        uses = inputs[name].uses()
        if not all(use.node.graph is back and _spreads(use.node, axis - rank, given, proof) for use in uses):
            found.append((name, axis, rank))
    return tuple(found)


def _spreads(node: ir.Node, place: int, given: Sequence[str], proof: Batch) -> bool:
    """Whether a node's result has all rows at a place (counted from the last axis) whatever one input has."""
    if (node.domain, node.op_type) != (DOMAIN, "Elementwise") and not is_a(node, Is.BROADCASTS):
        return False
    for value in node.inputs:
        name = "" if value is None else str(value.name)
        axis, rank = proof.axes.get(name), proof.ranks.get(name)
        if name not in given and axis is not None and rank is not None and axis - rank == place:
            return True
    return False


def expand(back: ir.Model, wanted: Expansion, sample: tuple[str, int]) -> None:
    """Write the expansions.

    Parameters
    ----------
    back
        What reads the reference.
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

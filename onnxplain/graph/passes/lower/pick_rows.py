"""Write products of a one-hot value and a constant matrix as the matrix's rows.

Cases: Gemm and MatMul that a walk back wrote, whose left side has one number in each row, at the entry that
is explained, and zeros elsewhere; the right side is constant, and finite, as zeros times what is not would
be kept.  The product reads the whole matrix (5 MB of a network with a thousand classes), the row some
kilobytes.

That there is one number in each row is proven by the nodes that pick the entry: the indices are as many as
the highest entries of the rows of a value of the same shape.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.passes.lower.matching import made_by, number, remove_unread

__all__ = ["PickRows"]

_RANK = 2


class PickRows(ir.passes.InPlacePass):
    """Lower for the CPU."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified = False
        for node in list(model.graph):
            if node.op_type in ("Gemm", "MatMul") and facts.is_written(node):
                modified |= _lower(model.graph, node)
        return ir.passes.PassResult(model, modified)


class _OneHot(NamedTuple):
    """A value with one number in each row: where (N,), and the numbers (N, 1), None for ones."""

    where: ir.Value
    numbers: ir.Value | None


def _lower(graph: ir.Graph, node: ir.Node) -> bool:
    left, right = node.inputs[:2]
    held = facts.constant(right)
    plain = (
        len(node.inputs) == 2 and not facts.attr(node, "transA", 0) and facts.attr(node, "alpha", 1.0) == 1.0
    )
    if not plain or right is None or held is None or held.ndim != _RANK or not np.isfinite(held).all():
        return False
    found = _one_hot(left)
    if found is None:
        return False
    across = bool(facts.attr(node, "transB", 0))
    new = [ir.node("Gather", [right, found.where], {"axis": int(across)}, name=f"{node.name}/rows")]
    if across:
        new.append(ir.node("Transpose", [new[-1].outputs[0]], {"perm": [1, 0]}, name=f"{node.name}/columns"))
    if found.numbers is not None:
        new.append(ir.node("Mul", [new[-1].outputs[0], found.numbers], name=f"{node.name}/scaled"))
    old, made = node.outputs[0], new[-1].outputs[0]
    for each in new:
        each.outputs[0].name, each.outputs[0].type = each.name, old.type
        each.metadata_props[facts.WRITTEN_KEY] = ""
    made.name, made.shape = old.name, old.shape
    ir.convenience.replace_nodes_and_values(graph, node, [node], new, [old], [made])
    remove_unread(graph, [left])
    return True


def _one_hot(value: ir.Value | None) -> _OneHot | None:
    """Return where a value has its numbers, if it has one in each row."""
    spread = made_by(value, "ScatterElements")
    if (
        spread is None
        or facts.attr(spread, "reduction", "none") != "none"
        or facts.attr(spread, "axis", 0) != 1
    ):
        return None
    zeros, index, numbers = spread.inputs
    like = _filled_like(zeros, 0.0)
    picked = _column(index)
    if like is None or facts.rank(like) != _RANK or picked is None or not _one_each(picked, like):
        return None
    column = _column(numbers)
    return _OneHot(picked, None if _filled_like(column, 1.0) is not None else numbers)


def _filled_like(value: ir.Value | None, filling: float) -> ir.Value | None:
    """Return the value that has the shape of one that is filled with a number."""
    node = made_by(value, "ConstantOfShape")
    if node is None:
        return None
    attribute = node.attributes.get("value")
    held = 0.0 if attribute is None else float(attribute.as_tensor().numpy().item())
    shape = made_by(node.inputs[0], "Shape")
    whole = shape is not None and not {"start", "end"} & set(shape.attributes)
    return shape.inputs[0] if shape is not None and whole and held == filling else None


def _column(value: ir.Value | None) -> ir.Value | None:
    """Return what became a column, (N, 1) of (N,)."""
    node = made_by(value, "Unsqueeze")
    if node is None:
        return None
    axes = number(node.inputs[1]) if len(node.inputs) > 1 else None
    return node.inputs[0] if axes == 1 else None


def _one_each(index: ir.Value, like: ir.Value) -> bool:
    """Whether indices are as many as the rows of a value, by the place of its highest entry in each.

    They broadcast with others, so that they may be more: then they do not fit, which raises where the entries
    are read.
    """
    choice = made_by(index, "Where")
    for value in () if choice is None else choice.inputs[1:]:
        highest = made_by(value, "ArgMax")
        if highest is None or facts.attr(highest, "axis", 0) != 1 or facts.attr(highest, "keepdims", 1):
            continue
        rows = made_by(highest.inputs[0], "Reshape")
        shape = None if rows is None else facts.constant(rows.inputs[1])
        if rows is None or rows.inputs[0] is not like or facts.attr(rows, "allowzero", 0):
            continue
        if shape is not None and shape.tolist() == [0, -1]:
            return True
    return False

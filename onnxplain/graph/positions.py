"""Which token each number of an embedding belongs to, whatever moved tokens or rows in between.

Token ids are integers, so that an explanation stops at their embedding.  On the way there a graph may
transpose, cut, pad or repeat them (time first, say), and the embedding's shape alone does not tell which of
its rows is which token's.  So the positions of the tokens go the same way as the tokens.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain.errors import UnsupportedOperatorError
from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.traits import Is, is_a, movers, operators

__all__ = ["NOBODY", "keeps_order", "write_positions"]

#: The position of what is no token (padding).
NOBODY = -1

#: Move their first input; onnxruntime moves no positions by the others.
_ROW_MOVERS = movers() - operators(Is.ELEMENTWISE) - {"DepthToSpace", "SpaceToDepth"}


def keeps_order(source: ir.Value, entry: ir.Value) -> bool:
    """Tell whether an embedding has the axes of its tokens, in their order, and then axes of its own."""
    nodes, values = _way(source, entry)
    return all(_keeps(node, values) for node in nodes)


def write_positions(op: Ops, source: ir.Value, entry: ir.Value) -> ir.Value:
    """Write the positions of tokens along the way to their embedding.

    Parameters
    ----------
    op
        Writes at the end of the graph.
    source
        The tokens, an input of the graph.
    entry
        The embedding.

    Returns
    -------
    ir.Value
        int64, shaped like the embedding: the number of the token in ``source`` (row by row) that each entry
        is for, or :data:`NOBODY`.

    Raises
    ------
    UnsupportedOperatorError
        If an operator on the way mixes tokens, or is not known to leave them apart.
    """
    numbers = op.Range(op.const(np.int64(0)), op.Size(source), op.const(np.int64(1)))
    at: dict[ir.Value, ir.Value] = {source: op.Reshape(numbers, op.Shape(source), allowzero=1)}
    for node in _way(source, entry)[0]:
        made = _follow(op, node, at)
        at.update(zip(node.outputs, made, strict=True))
    return at[entry]


def _way(source: ir.Value, entry: ir.Value) -> tuple[list[ir.Node], set[ir.Value]]:
    """Return the nodes between an input and a value, in order, and the values between."""
    reached, forward = {source}, []
    maker = entry.producer()
    for node in () if maker is None or maker.graph is None else maker.graph:
        if not is_a(node, Is.SHAPE_ONLY) and any(i in reached for i in node.inputs):
            reached.update(node.outputs)
            forward.append(node)
    needed, kept = {entry}, []
    for node in reversed(forward):
        if any(o in needed for o in node.outputs):
            needed.update(i for i in node.inputs if i is not None and i in reached)
            kept.append(node)
    return kept[::-1], needed


def _keeps(node: ir.Node, values: set[ir.Value]) -> bool:
    used = [k for k, i in enumerate(node.inputs) if i in values]
    if node.op_type == "Gather":
        return used == [1] and facts.attr(node, "axis", 0) == 0
    if node.op_type == "OneHot":
        return used == [0] and facts.attr(node, "axis", -1) == -1
    if not is_a(node, Is.ELEMENTWISE):
        return False
    others = [i for i in node.inputs if i is not None and i not in values]
    return len(used) == 1 and all(facts.static_shape(i) in ((), (1,)) for i in others)


def _follow(op: Ops, node: ir.Node, at: dict[ir.Value, ir.Value]) -> tuple[ir.Value, ...]:
    """Return the positions of a node's outputs."""
    used = [k for k, i in enumerate(node.inputs) if i is not None and i in at]
    first = at[cast("ir.Value", node.inputs[used[0]])]
    kind, output = node.op_type, node.outputs[0]
    if kind in ("Gather", "GatherND", "OneHot") and used == [0 if kind == "OneHot" else 1]:
        return (op.Expand(_behind(op, node, first), op.Shape(output)),)
    if kind in _ROW_MOVERS and used == [0]:
        return _copy(op, node, [first, *node.inputs[1:]])
    if kind == "Concat":
        nobody = op.const(np.int64(NOBODY))
        parts = [at[i] if i in at else op.Expand(nobody, op.Shape(i)) for i in node.inputs if i is not None]
        return _copy(op, node, parts)
    if kind == "Pad" and used == [0]:
        return _copy(op, node, [first, node.inputs[1], op.const(np.int64(NOBODY)), *node.inputs[3:]])
    if is_a(node, Is.ELEMENTWISE):
        data = [k for k in used if k > 0] if kind == "Where" and len(used) > 1 else used
        if len({at[cast("ir.Value", node.inputs[k])] for k in data}) == 1:
            return (op.Expand(at[cast("ir.Value", node.inputs[data[0]])], op.Shape(output)),)
    raise UnsupportedOperatorError(
        f"{facts.node_label(node)} stands between token ids and their embedding, and it is not known which "
        "token each row of the embedding then belongs to; explain the embedding itself (wrt=...)"
    )


def _behind(op: Ops, node: ir.Node, index: ir.Value) -> Any:
    """Give positions that pick rows the number of axes of the rows, aligned with them."""
    rows = facts.rank(cast("ir.Value", node.inputs[0]))
    if node.op_type == "OneHot":
        return op.Unsqueeze(index, [facts.attr(node, "axis", -1)])
    axis, batch = facts.attr(node, "axis", 0), facts.attr(node, "batch_dims", 0)
    assert isinstance(axis, int)
    if node.op_type == "GatherND":
        picks = facts.static_dim(cast("ir.Value", node.inputs[1]), -1)
        if batch or picks != 1:
            rows = None
        index = op.Squeeze(index, [-1])
    if rows is None:
        raise UnsupportedOperatorError(
            f"{facts.node_label(node)} picks rows of an embedding in a way that is not followed; explain the "
            "embedding itself (wrt=...)"
        )
    behind = rows - 1 - axis % rows
    return op.Unsqueeze(index, [-1 - k for k in range(behind)]) if behind else index


def _copy(op: Ops, node: ir.Node, inputs: list[ir.Value | None]) -> tuple[ir.Value, ...]:
    attrs = {name: attribute.value for name, attribute in node.attributes.items()}
    made = op.emit(node.op_type, inputs, {**attrs, "_outputs": len(node.outputs), "_fold": False})
    return (made,) if isinstance(made, ir.Value) else made

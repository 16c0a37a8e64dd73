"""What passes that know a pattern share: who wrote a value, and one node in the place of several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.names import Names

__all__ = [
    "DOMAIN",
    "TYPES",
    "held",
    "last",
    "made_by",
    "named",
    "number",
    "put",
    "reduced",
    "remove_unread",
    "roots",
    "swaps",
    "written",
]

DOMAIN = "ai.onnxplain"

#: What stands behind the names of operators of a type; types have operators of their own.
_ENDINGS = {ir.DataType.FLOAT: "", ir.DataType.FLOAT16: "Float16"}
TYPES = tuple(_ENDINGS)


def roots(model: ir.Model) -> Iterator[ir.Node]:
    """Yield the nodes of types that our operators have, last ones first; not those gone since."""
    for node in reversed(list(model.graph)):
        if node.graph is not None and node.outputs[0].dtype in TYPES:
            yield node


def named(op_type: str, dtype: ir.DataType | None) -> str:
    """Return the name of the operator for numbers of a type."""
    return op_type + _ENDINGS[dtype or ir.DataType.FLOAT]


def made_by(value: ir.Value | None, op_type: str) -> ir.Node | None:
    """Return the node that makes a value, if a walk back wrote it and it is of this operator."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != op_type or node.domain not in ("", "ai.onnx"):
        return None
    return node if facts.is_written(node) else None


def written(value: ir.Value | None, op_type: str) -> ir.Node | None:
    """Return what :func:`made_by` does, if the value is of a type that our operators have."""
    node = made_by(value, op_type)
    return node if node is not None and node.outputs[0].dtype in TYPES else None


def number(value: ir.Value | None) -> float | None:
    """Return what a constant of one element holds."""
    held = facts.constant(value)
    return float(held.item()) if held is not None and held.size == 1 else None


def swaps(node: ir.Node | None) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Return the two operands of a node in both orders; nothing where there is no node."""
    if node is not None and len(node.inputs) == 2 and None not in node.inputs:
        a, b = node.inputs
        assert a is not None
        assert b is not None
        yield a, b
        yield b, a


def reduced(value: ir.Value | None, op_type: str) -> tuple[ir.Value, tuple[int, ...]] | None:
    """Return what was reduced, and over which axes, which stay with length 1; None where it was not."""
    node = written(value, op_type)
    if node is None or len(node.inputs) != 2 or not facts.attr(node, "keepdims", 1):
        return None
    x, axes = node.inputs[0], facts.constant(node.inputs[1])
    return None if x is None or axes is None else (x, tuple(axes.ravel().tolist()))


def last(axes: Sequence[int], of: ir.Value) -> int:
    """Return how many axes these are, if they are a value's last; else 0."""
    rank = facts.rank(of)
    if rank is None or not all(-rank <= a < rank for a in axes):
        return 0
    return len(axes) if sorted(a % rank for a in axes) == list(range(rank - len(axes), rank)) else 0


def put(
    model: ir.Model,
    root: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value],
    attributes: Mapping[str, Any],
) -> None:
    """Put one of our own operators in the place of a node, and remove what only that read.

    Parameters
    ----------
    model
        The program.
    root
        Its output is computed by the operator from now on.
    op_type, inputs, attributes
        The operator, as it is called for float32.
    """
    graph = model.graph
    made = ir.node(
        named(op_type, root.outputs[0].dtype), inputs, dict(attributes), domain=DOMAIN, name=root.name
    )
    new, old = made.outputs[0], root.outputs[0]
    new.name, new.type, new.shape = old.name, old.type, old.shape
    made.metadata_props[facts.WRITTEN_KEY] = ""
    before = [v for v in root.inputs if v is not None]
    ir.convenience.replace_nodes_and_values(graph, root, [root], [made], [old], [new])
    model.graph.opset_imports[DOMAIN] = 1
    remove_unread(graph, before)


def held(graph: ir.Graph, name: str, content: Array) -> ir.Value:
    """Return an initializer with this content and a name like this one, made once."""
    while (known := graph.initializers.get(name)) is not None:
        there = facts.constant(known)
        if there is not None and there.dtype == content.dtype and np.array_equal(there, content):
            return known
        name += "_"  # of the model's own, or of the same weight in another form
    tensor = ir.tensor(content, name=Names(graph).free(name))
    value = ir.Value(
        name=tensor.name,
        shape=ir.Shape(content.shape),
        type=ir.TensorType(tensor.dtype),
        const_value=tensor,
    )
    graph.register_initializer(value)
    return value


def remove_unread(graph: ir.Graph, values: Sequence[ir.Value | None]) -> None:
    """Remove what a walk back wrote to make values that nobody reads any more."""
    before = list(values)
    while before:
        value = before.pop()
        node = None if value is None else value.producer()
        if node is None or not facts.is_written(node) or node.graph is not graph:
            continue
        if not any(o.uses() or o.is_graph_output() for o in node.outputs):
            before += node.inputs
            graph.remove(node, safe=True)

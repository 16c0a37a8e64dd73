"""How much ONNX's shape inference would carry along of the contents of values.

It follows vectors of whole numbers through the graph, entry by entry, and has no limit: thirty nodes that
each join a vector with itself are a thousand million entries.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from onnxplain.graph import facts

__all__ = ["MOST_ENTRIES", "propagates"]

#: Vectors longer than this are shapes and axes of nothing.
MOST_ENTRIES = 1 << 16
_SHORT = 64  # more axes than a tensor has


def propagates(model: ir.Model) -> bool:
    """Tell whether contents may be followed: whether no vector would become longer than the most."""
    lengths: dict[ir.Value, int] = {}
    total = 0
    for node in model.graph.all_nodes():
        length = min(_length(node, lengths), 2 * MOST_ENTRIES)
        total += length if length > _SHORT else 0
        if total > MOST_ENTRIES:
            return False
        lengths.update(dict.fromkeys(node.outputs, length))
    return True


def _length(node: ir.Node, lengths: dict[ir.Value, int]) -> int:
    operands = [lengths.get(v, _of_constant(v)) for v in node.inputs if v is not None]
    if node.op_type == "Shape":
        return _SHORT
    if node.op_type == "ConstantOfShape":
        shape = facts.constant(node.inputs[0]) if node.inputs else None
        return 0 if shape is None or shape.size != 1 else math.prod(map(int, shape.ravel()))
    return sum(operands) if node.op_type == "Concat" else max(operands, default=0)


def _of_constant(value: ir.Value) -> int:
    shape = facts.static_shape(value) if facts.is_constant(value) else None
    return shape[0] if shape is not None and len(shape) == 1 else 0

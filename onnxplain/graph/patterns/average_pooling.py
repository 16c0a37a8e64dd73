"""Global average pooling followed by linear layers, however an exporter wrote it."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.space import Space, extent
from onnxplain.graph.traits import Is, is_a, traits

__all__ = ["pooled_value"]


def pooled_value(scored: ir.Value, spaces: Mapping[ir.Value, Space]) -> ir.Value | str:
    """Return the value whose average over space is turned linearly into a score.

    Parameters
    ----------
    scored
        Where the scores are.
    spaces
        Channels and space of values.

    Returns
    -------
    The value; or the label of the node at which the search ended.
    """
    value = scored
    while (node := value.producer()) is not None:
        operands = [v for k, v in enumerate(node.inputs) if v is not None and _computed(node, k, v)]
        if len(operands) != 1 or not _linear(node, operands[0]):
            return facts.node_label(node)
        x = operands[0]
        if is_a(node, Is.AVERAGES) and extent(x, spaces.get(x)) > 1 and extent(value, spaces.get(value)) == 1:
            return _widest(x, spaces)
        value = x
    return f"input '{value.name}'"


def _widest(x: ir.Value, spaces: Mapping[ir.Value, Space]) -> ir.Value:
    """Go on through averages over one axis after the other."""
    node = x.producer()
    while node is not None and is_a(node, Is.AVERAGES | Is.REDUCES):
        before = node.inputs[0]
        if before is None or extent(before, spaces.get(before)) <= extent(x, spaces.get(x)):
            break
        x, node = before, before.producer()
    return x


def _computed(node: ir.Node, position: int, value: ir.Value) -> bool:
    """Tell whether an input is an operand that is no constant."""
    row = traits(node)
    operand = row.holds(position) or position in (row.weight, row.bias)
    return operand and not facts.is_constant(value)


def _linear(node: ir.Node, x: ir.Value) -> bool:
    """Tell whether a node is linear (but for a constant) in its only operand that is computed."""
    if is_a(node, Is.LAYER) or node.op_type in ("Add", "Sub", "Sum", "Mean", "Mul", "BatchNormalization"):
        return True
    if node.op_type == "Div":
        return node.inputs[0] is x
    if node.op_type == "Cast":
        return facts.is_float(node.outputs[0])
    return is_a(node, Is.AVERAGES) or (is_a(node, Is.MOVES) and node.inputs[0] is x)

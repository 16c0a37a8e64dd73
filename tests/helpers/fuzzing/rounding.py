"""What float32 does to a computation, by whatever library: every value is rounded."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["rounded"]


def rounded(model: ir.Model) -> ir.Model:
    """Return a model in float64 of which each node sees values as float32 holds them."""
    made = ir.from_proto(ir.to_proto(model))
    assert isinstance(made, ir.Model)
    for node in list(made.graph):
        for value in node.outputs:
            if value.dtype == ir.DataType.DOUBLE:
                _round(made.graph, node, value)
    return made


def _round(graph: ir.Graph, node: ir.Node, value: ir.Value) -> None:
    uses = list(value.uses())
    single = ir.node("Cast", [value], {"to": int(ir.DataType.FLOAT)})
    again = ir.node("Cast", single.outputs, {"to": int(ir.DataType.DOUBLE)})
    for k, end in enumerate((single, again)):
        end.outputs[0].name = f"{value.name}/rounded/{k}"
    for user, k in uses:
        user.replace_input_with(k, again.outputs[0])
    graph.insert_after(node, [single, again])

"""Write a layer's bias as an Add of its own where it is computed.

Relevance rules count a layer's bias as constant.  One that the graph computes may depend on what is
explained: as an operand of a sum it gets its share.
"""

from __future__ import annotations

from collections.abc import Set

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.passes.node_pass import NodePass
from onnxplain.graph.replace import take_place
from onnxplain.graph.traits import Is, rows

__all__ = ["WITH_BIAS", "SplitBias"]

#: Operators whose third input is added to their output.
WITH_BIAS = frozenset(n for n, row in rows(Is.LAYER).items() if row.bias is not None)


class SplitBias(NodePass):
    """Take computed biases out of Conv, ConvTranspose and Gemm.

    Parameters
    ----------
    varied
        Names of inputs of the model that vary too.
    """

    operators = WITH_BIAS

    def __init__(self, varied: Set[str] = frozenset()) -> None:
        super().__init__()
        self.varied = varied

    def rewrite(self, graph: ir.Graph, node: ir.Node, opset: int) -> bool:
        """Write a computed bias as an Add."""
        return _split(graph, node, opset, self.varied)


def _split(graph: ir.Graph, node: ir.Node, opset: int, varied: Set[str]) -> bool:
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    rank = facts.rank(node.outputs[0])
    if bias is None or rank is None:
        return False
    if not (bias.producer() is not None or bias.name in varied or facts.is_of_lengths(bias)):
        return False
    op = Ops(graph, opset, scope=f"{node.name or node.outputs[0].name}/split")
    op.before = node
    attributes = {name: a.value for name, a in node.attributes.items() if name != "beta"}
    layer = op.emit(node.op_type, node.inputs[:2], attributes)
    assert isinstance(layer, ir.Value)
    op.annotate(layer, node.outputs[0])
    beta = facts.attr(node, "beta", 1.0)
    if node.op_type != "Gemm":
        bias = op.Unsqueeze(bias, list(range(1, rank - 1))) if rank > 2 else bias
    elif beta != 1.0:
        bias = op.Mul(bias, beta)
    take_place(node.outputs[0], op.Add(layer, bias))
    graph.remove(node, safe=True)
    return True

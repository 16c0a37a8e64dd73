"""Replace LSTM, GRU and RNN by standard operators around a Scan.

Not part of the normal form, where the fused operators stay and their gradient is written from the same
decomposition: a choice for runtimes without them, and what the tests check the decomposition with.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph.build import Ops
from onnxplain.graph.passes.node_pass import NodePass
from onnxplain.graph.recurrent import RECURRENT, write_recurrent
from onnxplain.graph.replace import take_place

__all__ = ["DecomposeRecurrent"]


class DecomposeRecurrent(NodePass):
    """Write each recurrent node out."""

    operators = frozenset(RECURRENT)

    def rewrite(self, graph: ir.Graph, node: ir.Node, opset: int) -> bool:
        """Write its steps in its place."""
        op = Ops(graph, opset, scope=f"{node.name or node.outputs[0].name}/steps")
        op.before = node
        for old, new in zip(node.outputs, write_recurrent(op, node, node.inputs), strict=False):
            if old.is_graph_output():
                take_place(old, op.Identity(new))
            else:
                ir.convenience.replace_all_uses_with(old, new)
        graph.remove(node, safe=True)
        return True

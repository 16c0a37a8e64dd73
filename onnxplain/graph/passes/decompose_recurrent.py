"""Replace LSTM, GRU and RNN by standard operators around a Scan.

Not part of the normal form, where the fused operators stay and their gradient is written from the same
decomposition: a choice for runtimes without them, and what the tests check the decomposition with.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph.build import Ops
from onnxplain.graph.recurrent import RECURRENT, write_recurrent
from onnxplain.graph.replace import take_place

__all__ = ["DecomposeRecurrent"]


class DecomposeRecurrent(ir.passes.InPlacePass):
    """Write each recurrent node out."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:  # noqa: D102
        modified = False
        opset = model.graph.opset_imports.get("", 18)
        for graph in (model.graph, *model.graph.subgraphs()):
            for node in list(graph):
                if node.op_type not in RECURRENT or node.domain not in ("", "ai.onnx"):
                    continue
                op = Ops(graph, opset, scope=f"{node.name or node.outputs[0].name}/steps")
                op.before = node
                for old, new in zip(node.outputs, write_recurrent(op, node, node.inputs), strict=False):
                    if old.is_graph_output():
                        take_place(old, op.Identity(new))
                    else:
                        ir.convenience.replace_all_uses_with(old, new)
                graph.remove(node, safe=True)
                modified = True
        return ir.passes.PassResult(model, modified)

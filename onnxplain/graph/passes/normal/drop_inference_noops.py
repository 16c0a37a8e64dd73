"""Remove operators that do nothing at inference.

Cases: Identity; Dropout whose mask is unused; a Cast to the dtype that its input already has.  A node that
makes an output of the graph stays, a Dropout as an Identity, to keep the output's name.  (The library's
IdentityEliminationPass does not do here: it stumbles over branches of If that return a value of the outer
graph.)
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph import facts

__all__ = ["DropInferenceNoOps"]


class DropInferenceNoOps(ir.passes.InPlacePass):
    """Let the users of such a node's output use its input instead."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified = False
        for node in list(model.graph):
            source, output = node.inputs[0] if node.inputs else None, node.outputs[0]
            if source is None or node.domain not in ("", "ai.onnx"):
                continue
            if output.is_graph_output():
                modified |= self._is_dropout(node) and self._to_identity(node)
            elif node.op_type == "Identity" or self._is_dropout(node) or self._is_trivial_cast(node):
                ir.convenience.replace_all_uses_with(output, source)
                model.graph.remove(node, safe=True)
                modified = True
        return ir.passes.PassResult(model, modified)

    @staticmethod
    def _to_identity(node: ir.Node) -> bool:
        node.op_type = "Identity"
        node.attributes.clear()
        node.resize_inputs(1)
        node.resize_outputs(1)
        return True

    @staticmethod
    def _is_dropout(node: ir.Node) -> bool:
        if node.op_type != "Dropout":
            return False
        training = facts.constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
        mask_used = len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output())
        has_switch = len(node.inputs) > 2 and node.inputs[2] is not None
        off = not has_switch or (training is not None and not bool(training))
        return off and not mask_used

    @staticmethod
    def _is_trivial_cast(node: ir.Node) -> bool:
        if node.op_type != "Cast" or node.inputs[0] is None:
            return False
        return node.inputs[0].dtype is not None and node.inputs[0].dtype == node.attributes["to"].as_int()

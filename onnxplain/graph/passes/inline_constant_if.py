"""Replace an If whose condition is known by the branch that it takes.

Exporters write an If for every ``squeeze`` of an axis that might not have length 1; once shapes are known and
constants folded, most of these conditions are constant.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.inline import finish_body, paste

__all__ = ["InlineConstantIf"]


class InlineConstantIf(ir.passes.InPlacePass):
    """Paste the branch in the If's place, in the main graph and in bodies.

    Branches that return a value of the outer graph, which stays legal, get a node for it: whoever copies a
    branch can then rely on its outputs being its own.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:  # noqa: D102
        modified = False
        for body in list(model.graph.subgraphs()):
            if any(o.graph is not body or o.producer() is None for o in body.outputs):
                outputs = list(body.outputs)
                body.outputs.clear()
                finish_body(body, outputs, f"{body.name or 'body'}/{id(body):x}")
                modified = True
        pending = [model.graph, *model.graph.subgraphs()]
        for graph in pending:
            for node in list(graph):
                if node.graph is graph and node.op_type == "If" and node.domain in ("", "ai.onnx"):
                    modified |= self._inline(graph, node)
        return ir.passes.PassResult(model, modified)

    @staticmethod
    def _inline(graph: ir.Graph, node: ir.Node) -> bool:
        condition = facts.constant(node.inputs[0])
        if condition is None:
            return False
        name = "then_branch" if bool(condition.item()) else "else_branch"
        made = paste(graph, node.attributes[name].as_graph(), [], before=node)
        for k, (old, new) in enumerate(zip(node.outputs, made, strict=True)):
            if old.is_graph_output() or new.graph is not graph:
                wrapper = ir.node("Identity", [new], name=f"{node.name}/{k}")
                graph.insert_before(node, wrapper)
                new_value = wrapper.outputs[0]
                new_value.type, new_value.shape = old.type or new.type, old.shape
                if old.is_graph_output():
                    new_value.name = old.name
            else:
                new_value = new
            ir.convenience.replace_all_uses_with(old, new_value, replace_graph_outputs=True)
        graph.remove(node, safe=True)
        return True

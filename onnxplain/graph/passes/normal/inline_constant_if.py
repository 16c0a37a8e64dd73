"""Replace an If whose condition is known by the branch that it takes.

Exporters write an If for every ``squeeze`` of an axis that might not have length 1; once shapes are known and
constants folded, most of these conditions are constant.

Cases: the condition is constant; or the branches give values with different numbers of axes, and what follows
(LSTM, Conv...) can run with only one of them.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.inline import finish_body, paste
from onnxplain.graph.traits import Is, is_a

__all__ = ["InlineConstantIf"]


_DEPTH = 16


class InlineConstantIf(ir.passes.InPlacePass):
    """Paste the branch in the If's place, in the main graph and in bodies.

    Branches that return a value of the outer graph, which stays legal, get a node for it: whoever copies a
    branch can then rely on its outputs being its own.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
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
        name = _branch(node)
        if name is None:
            return False
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


def _branch(node: ir.Node) -> str | None:
    """Name the branch that an If takes, if that is known."""
    condition = facts.constant(node.inputs[0])
    if condition is not None:
        return "then_branch" if bool(condition.item()) else "else_branch"
    for k, output in enumerate(node.outputs):
        needed = _needed_rank(output)
        if needed is None:
            continue
        ranks = {
            name: facts.rank(node.attributes[name].as_graph().outputs[k])
            for name in ("then_branch", "else_branch")
        }
        if None not in ranks.values() and list(ranks.values()).count(needed) == 1:
            return next(name for name, rank in ranks.items() if rank == needed)
    return None


def _needed_rank(value: ir.Value, depth: int = _DEPTH) -> int | None:
    """Return the only number of axes with which a value's users can run, if they say."""
    if not depth:
        return None
    for user, index in value.uses():
        found = _rank_for(user, index, depth)
        if found is not None:
            return found
    return None


def _rank_for(user: ir.Node, index: int, depth: int) -> int | None:
    if user.domain not in ("", "ai.onnx"):
        return None
    if user.op_type in ("LSTM", "GRU", "RNN") and index in (0, 1, 2, 5, 6):
        return 3
    if user.op_type in ("Conv", "ConvTranspose") and index == 0 and user.inputs[1] is not None:
        return facts.rank(user.inputs[1])
    if user.op_type == "Gemm" and index < 2:
        return 2
    if index == 0 and user.op_type == "Transpose":
        perm = facts.attr(user, "perm")
        return len(perm) if isinstance(perm, tuple) else None
    if index == 0 and user.op_type in ("Squeeze", "Unsqueeze") and len(user.inputs) > 1:
        axes, after = facts.constant(user.inputs[1]), _needed_rank(user.outputs[0], depth - 1)
        if axes is None or after is None:
            return None
        return after + (axes.size if user.op_type == "Squeeze" else -axes.size)
    alike = index == 0 and is_a(user, Is.LIKE_FIRST)
    return _needed_rank(user.outputs[0], depth - 1) if alike else None

"""Write operators of other domains (onnxruntime's own, classical machine learning) out in the standard's.

What is written computes the same, and its gradient is that of the standard operators.  A variant that is not
covered stays, and is named if its gradient is asked for.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph import (
    classic,  # noqa: F401  (fills the table)
    contrib,  # noqa: F401  (fills it too)
    facts,
)
from onnxplain.graph.decomposition import CONTRIB, DECOMPOSITIONS
from onnxplain.graph.replace import take_place
from onnxplain.graph.writer import NotDecomposedError, Writer, infer_known

__all__ = ["Decompose", "claim_contrib"]

#: onnxruntime registers these in the standard's domain, where the standard does not have them.
_MISPLACED = frozenset({"SimplifiedLayerNormalization"})


def claim_contrib(model: ir.Model) -> None:
    """Move operators that are onnxruntime's, but use the standard's domain, to onnxruntime's."""
    for node in model.graph.all_nodes():
        if node.op_type in _MISPLACED and node.domain in ("", "ai.onnx"):
            node.domain = CONTRIB
            model.graph.opset_imports.setdefault(CONTRIB, 1)


class Decompose(ir.passes.InPlacePass):
    """Replace the nodes of the table, in all graphs."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        opset = model.graph.opset_imports.get("", 18)
        graphs = (model.graph, *model.graph.subgraphs())
        if not any((n.domain, n.op_type) in DECOMPOSITIONS for g in graphs for n in g):
            return ir.passes.PassResult(model, False)
        model.graph.opset_imports.setdefault("", opset)
        modified = False
        for graph in graphs:
            op = Writer(graph, opset)
            for node in list(graph):
                if (node.domain, node.op_type) in DECOMPOSITIONS:
                    modified |= _replace(op, node)
                elif any(o.shape is None for o in node.outputs):
                    infer_known(node, opset)  # so that what follows a node that was replaced knows its shapes
        return ir.passes.PassResult(model, modified)


def _replace(op: Writer, node: ir.Node) -> bool:
    op.before, op.scope = node, f"{node.name or node.outputs[0].name}/{node.op_type}"
    try:
        made = DECOMPOSITIONS[node.domain, node.op_type](op, node)
        for k, output in enumerate(node.outputs):
            used = output.uses() or output.is_graph_output()
            if used and (k >= len(made) or made[k] is None):
                raise NotDecomposedError(f"its output {k} is used")
    except NotDecomposedError as error:
        node.metadata_props[facts.REASON_KEY] = str(error)
        return False
    for old, new in zip(node.outputs, made, strict=False):
        if new is None:
            continue
        if old.is_graph_output() or facts.is_constant(new):
            kept = ir.node("Identity", [new], name=op.fresh("Identity"))
            op.graph.insert_before(node, kept)
            take_place(old, kept.outputs[0])
        else:
            ir.convenience.replace_all_uses_with(old, new)
    op.graph.remove(node, safe=True)
    return True

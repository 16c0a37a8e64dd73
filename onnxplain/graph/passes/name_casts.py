"""Write CastLike as Cast to the type that it is like.

The operand that CastLike is like carries no values; written as a Cast, a constant stays a constant, and a
value that is only cast does not seem to depend on it.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph.replace import take_place

__all__ = ["NameCasts"]


class NameCasts(ir.passes.InPlacePass):
    """Replace each CastLike whose type is known."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:  # noqa: D102
        modified = False
        for graph in (model.graph, *model.graph.subgraphs()):
            for node in list(graph):
                like = node.inputs[1] if len(node.inputs) > 1 else None
                if node.op_type != "CastLike" or node.domain not in ("", "ai.onnx") or like is None:
                    continue
                if like.dtype is None:
                    continue
                attributes = [*node.attributes.values(), ir.AttrInt64("to", int(like.dtype))]
                cast = ir.Node("", "Cast", [node.inputs[0]], attributes, name=node.name)
                graph.insert_before(node, cast)
                take_place(node.outputs[0], cast.outputs[0])
                cast.outputs[0].type = ir.TensorType(like.dtype)
                graph.remove(node, safe=True)
                modified = True
        return ir.passes.PassResult(model, modified)

"""Write CastLike as Cast to the type that it is like.

The operand that CastLike is like carries no values; written as a Cast, a constant stays a constant, and a
value that is only cast does not seem to depend on it.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph.passes.node_pass import NodePass
from onnxplain.graph.replace import take_place

__all__ = ["NameCasts"]


class NameCasts(NodePass):
    """Replace each CastLike whose type is known."""

    operators = frozenset({"CastLike"})

    def rewrite(self, graph: ir.Graph, node: ir.Node, opset: int) -> bool:
        """Write a Cast in its place."""
        like = node.inputs[1]
        if like is None or like.dtype is None:
            return False
        attributes = [*node.attributes.values(), ir.AttrInt64("to", int(like.dtype))]
        cast = ir.Node("", "Cast", [node.inputs[0]], attributes, name=node.name)
        graph.insert_before(node, cast)
        take_place(node.outputs[0], cast.outputs[0])
        cast.outputs[0].type = ir.TensorType(like.dtype)
        graph.remove(node, safe=True)
        return True

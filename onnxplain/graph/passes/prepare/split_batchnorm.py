"""Write BatchNormalization as a product and a sum, ``s x + t`` per channel."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.passes.node_pass import NodePass
from onnxplain.graph.replace import take_place

__all__ = ["SplitBatchNorm"]


class SplitBatchNorm(NodePass):
    """Replace those in inference mode with constant parameters, where the number of axes is known.

    Relevance rules see the scale and the shift then; gradients need no such thing.
    """

    operators = frozenset({"BatchNormalization"})

    def rewrite(self, graph: ir.Graph, node: ir.Node, opset: int) -> bool:
        """Write a product and a sum in its place."""
        return _split(graph, node, opset)


def _split(graph: ir.Graph, node: ir.Node, opset: int) -> bool:
    x, output = node.inputs[0], node.outputs[0]
    arrays = [facts.constant(v) for v in node.inputs[1:5]]
    rank = None if x is None else facts.rank(x)
    if x is None or rank is None or any(a is None for a in arrays) or facts.attr(node, "training_mode", 0):
        return False
    gamma, beta, mean, variance = (np.asarray(a, np.float64) for a in arrays)
    epsilon = facts.attr(node, "epsilon", 1e-5)
    assert isinstance(epsilon, float)
    scale = gamma / np.sqrt(variance + epsilon)
    shape = [-1 if axis == 1 else 1 for axis in range(rank)]
    dtype = (x.dtype or ir.DataType.FLOAT).numpy()
    op = Ops(graph, opset, scope=f"{node.name or output.name}/affine")
    op.before = node
    product = op.annotate(op.Mul(x, op.const(scale.reshape(shape).astype(dtype))), x)
    shifted = op.Add(product, op.const((beta - mean * scale).reshape(shape).astype(dtype)))
    take_place(output, shifted)
    graph.remove(node, safe=True)
    return True

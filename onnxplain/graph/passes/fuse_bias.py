"""Make a constant that is added to a layer's output the layer's bias.

Exporters write ``x W + b`` as MatMul and Add, and TensorFlow's convolutions have their bias beside them.
Relevance rules treat a layer and its bias as one.  Cases: Conv and ConvTranspose without a bias, with a
constant per channel; MatMul with a constant matrix on the right and a constant row, which becomes a Gemm (of
more than two axes the leading ones are joined for it, as onnxruntime does).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.passes.node_pass import NodePass
from onnxplain.graph.replace import take_place

__all__ = ["FuseBias"]


class FuseBias(NodePass):
    """Move the constant into the layer; the Add goes."""

    operators = frozenset({"Add"})

    def rewrite(self, graph: ir.Graph, node: ir.Node, opset: int) -> bool:
        """Move a constant operand into the layer that makes the other."""
        return _fuse(graph, node, opset)


def _fuse(graph: ir.Graph, add: ir.Node, opset: int) -> bool:
    for data, constant in (add.inputs, reversed(add.inputs)):
        bias = facts.constant(constant)
        layer = None if data is None else data.producer()
        if data is None or bias is None or layer is None or layer.domain not in ("", "ai.onnx"):
            continue
        if len(data.uses()) != 1 or data.is_graph_output() or layer.graph is not graph:
            continue
        if not facts.is_float(data):
            continue  # onnxruntime has no Gemm of integers
        op = Ops(graph, opset, scope=f"{layer.name or data.name}/biased")
        op.before = add
        made = _with_bias(op, layer, bias)
        if made is None:
            continue
        take_place(add.outputs[0], made)
        graph.remove(add, safe=True)
        graph.remove(layer, safe=True)
        return True
    return False


def _with_bias(op: Ops, layer: ir.Node, bias: np.ndarray) -> ir.Value | None:
    """Write the layer anew with a bias, or return None if it cannot take this one."""
    x, weight = (*layer.inputs, None, None)[:2]
    matrix = facts.constant(weight)
    if x is None or matrix is None:
        return None
    attributes = {name: a.value for name, a in layer.attributes.items()}
    if layer.op_type in ("Conv", "ConvTranspose"):
        rank = facts.rank(x)
        row = _per_channel(bias, rank)
        if row is None or (len(layer.inputs) > 2 and layer.inputs[2] is not None):
            return None
        group = facts.attr(layer, "group", 1)
        assert isinstance(group, int)
        channels = matrix.shape[0] if layer.op_type == "Conv" else matrix.shape[1] * group
        made = op.emit(
            layer.op_type, [x, weight, op.const(np.broadcast_to(row, channels).copy())], attributes
        )
        assert isinstance(made, ir.Value)
        return made
    if layer.op_type != "MatMul" or matrix.ndim != 2:
        return None
    rank = facts.rank(x)
    one_row = not bias.ndim or bias.shape[-1] == bias.size
    if rank is None or rank < 2 or bias.ndim > rank or not one_row or bias.size not in (1, matrix.shape[1]):
        return None
    return _dense(op, x, weight, op.const(np.broadcast_to(bias.reshape(-1), matrix.shape[1]).copy()), rank)


def _per_channel(bias: np.ndarray, rank: int | None) -> np.ndarray | None:
    """Return a constant that broadcasts along all axes but the channels' as a row, else None."""
    if rank is None or bias.ndim > rank:
        return None
    dims = [1] * (rank - bias.ndim) + list(bias.shape)
    if bias.size != dims[1]:
        return None
    row: np.ndarray = bias.reshape(-1)
    return row


def _dense(op: Ops, x: ir.Value, weight: ir.Value | None, bias: ir.Value, rank: int) -> ir.Value:
    if rank == 2:
        made = op.Gemm(x, weight, bias)
        assert isinstance(made, ir.Value)
        return made
    assert weight is not None
    width = facts.static_dim(weight, 1)
    rows = op.Reshape(x, [-1, int(facts.static_dim(weight, 0) or 0)])
    flat = op.Gemm(rows, weight, bias)
    lead = op.Concat(op.Shape(x, start=0, end=rank - 1), op.const(np.array([width], np.int64)), axis=0)
    made = op.Reshape(flat, lead, allowzero=1)  # an empty axis is no copied one
    assert isinstance(made, ir.Value)
    return made

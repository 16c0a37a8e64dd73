"""Weights of their own for walks back, where a runtime would take the reordered copy of the model's."""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.exported_file.scopes import free_scope, graphs_of
from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.evaluate import is_pure

__all__ = ["own_weights"]

_CONVOLUTIONS = ("Conv", "ConvTranspose")
_PRODUCTS = ("MatMul", "Gemm")


def own_weights(model: ir.Model) -> int:
    """Read a weight that a layer and its walk back share anew for the walk, where both are alike in shape.

    OpenVINO's CPU plugin reorders weights for its kernels, and finds the reordered copy again by the place of
    the original and the shape.  A layer with as many inputs as outputs, and its walk back (the same weight
    transposed), are the same to it: one of the two then multiplies by the wrong one, silently.  What is
    negated twice has the same bits and a place of its own; runtimes fold it when they load the file, and it
    adds nothing to the file.  (A Gather of all entries, or a product with 1, is taken out by OpenVINO.)

    Parameters
    ----------
    model
        The finished model; it is changed.

    Returns
    -------
    int
        How many weights are read anew.
    """
    return sum(_own(graph, model) for graph in graphs_of(model))


def _own(graph: ir.Graph, model: ir.Model) -> int:
    first: dict[ir.Value, str] = {}
    copies: dict[tuple[ir.Value, str], ir.Value] = {}
    op: Ops | None = None
    for node in list(graph):
        if node.op_type not in (*_CONVOLUTIONS, *_PRODUCTS):
            continue
        for place in (0, 1) if node.op_type == "MatMul" else (1,):
            reader, at, weight, turned = _source(node, place)
            if weight is None or not _alike(node, weight):
                continue
            role = f"{node.op_type if node.op_type in _CONVOLUTIONS else place}{turned}"
            if first.setdefault(weight, role) == role:
                continue
            if (weight, role) not in copies:
                op = Ops(graph, 18, free_scope(model, "own")) if op is None else op
                op.before = _after(graph, weight.producer())
                copies[weight, role] = op.Neg(op.Neg(weight, _fold=False), _fold=False)
            reader.replace_input_with(at, copies[weight, role])
    return len(copies)


def _source(node: ir.Node, place: int) -> tuple[ir.Node, int, ir.Value | None, bool]:
    """Return who reads a weight, as which input, the weight, and whether its last two axes are exchanged."""
    turned = node.op_type == "Gemm" and bool(facts.attr(node, "transB", 0))
    value = node.inputs[place]
    reader, at = node, place
    while value is not None and value.producer() is not None:
        producer = value.producer()
        assert producer is not None
        if producer.op_type != "Transpose":
            break
        turned = not turned
        reader, at, value = producer, 0, producer.inputs[0]
    if value is None or value.dtype not in facts.FLOATS or not _made_of_constants(value):
        return reader, at, None, turned
    return reader, at, value, turned


def _made_of_constants(value: ir.Value) -> bool:
    """Whether a runtime can compute a value when it loads the file."""
    waiting, seen = [value], {value}
    while waiting:
        current = waiting.pop()
        producer = current.producer()
        if producer is None:
            if not facts.is_constant(current):
                return False
        elif not producer.inputs or not is_pure(producer):
            return False
        else:
            new = {v for v in producer.inputs if v is not None} - seen
            seen |= new
            waiting += new
    return True


def _after(graph: ir.Graph, producer: ir.Node | None) -> ir.Node:
    """Return the node before which to write what reads a constant, or what a node made."""
    nodes = list(graph)
    return nodes[0] if producer is None or producer.graph is not graph else nodes[nodes.index(producer) + 1]


def _alike(node: ir.Node, weight: ir.Value) -> bool:
    """Whether a weight has, or may have, the same shape for a layer and for its walk back."""
    shape = facts.static_shape(weight)
    if shape is None:
        return True
    if node.op_type in _PRODUCTS:
        return len(shape) > 1 and shape[-1] == shape[-2] > 1
    group = facts.attr(node, "group", 1)
    assert isinstance(group, int)
    return len(shape) > 1 and shape[0] // max(group, 1) == shape[1] > 1

"""Products in double precision, kept apart from the transpositions before them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from onnxplain.exported_file.scopes import free_scope, graphs_of
from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.normalize import infer_shapes

__all__ = ["keep_unfused"]


def keep_unfused(model: ir.Model) -> int:
    """Put a Reshape to the same shape before each operand of a product of doubles that is no constant.

    onnxruntime 1.19 and 1.20 make one node, FusedMatMul, of a product and a transposition before it (which
    they also move there, past other nodes).  It has no kernel for doubles on the CPU: the file does not load.
    The Reshape stands between them; it moves nothing, and costs nothing.

    Parameters
    ----------
    model
        The finished model; it is changed.

    Returns
    -------
    int
        How many operands there were.
    """
    unknown = [v for _, node in _products(model) for v in node.inputs if v is not None and v.dtype is None]
    doubles = [node for _, node in _products(model) if _is_double(node)]
    if unknown or any(_rank(v) is None for node in doubles for v in node.inputs if v is not None):
        infer_shapes(model)
    done, writers = 0, dict[int, Ops]()
    for graph, node in list(_products(model)):
        if not _is_double(node):
            continue
        for place, value in enumerate(node.inputs):
            rank = None if value is None or facts.is_constant(value) else _rank(value)
            if value is None or rank is None:
                continue
            if id(graph) not in writers:
                writers[id(graph)] = Ops(graph, 18, f"{free_scope(model, 'unfused')}/{len(writers)}")
            op = writers[id(graph)]
            op.before = node
            same = op.Reshape(value, np.zeros(rank, np.int64), _fold=False)  # 0: the length that is there
            node.replace_input_with(place, op.annotate(same, value))
            done += 1
    return done


def _products(model: ir.Model) -> Iterator[tuple[ir.Graph, ir.Node]]:
    for graph in graphs_of(model):
        for node in graph:
            if node.op_type == "MatMul" and node.domain in ("", "ai.onnx"):
                yield graph, node


def _is_double(node: ir.Node) -> bool:
    return any(v is not None and v.dtype == ir.DataType.DOUBLE for v in (*node.inputs, *node.outputs))


def _rank(value: ir.Value) -> int | None:
    """Return how many axes a value has, also where only the order of its transposition says so."""
    producer = value.producer()
    order = None if producer is None or producer.op_type != "Transpose" else facts.attr(producer, "perm")
    return len(order) if isinstance(order, (list, tuple)) else facts.rank(value)

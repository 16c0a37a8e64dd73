"""Products in double precision, kept apart from the transpositions before them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxplain.exported_file.scopes import free_scope, graphs_of
from onnxplain.graph import facts
from onnxplain.graph.build import Ops

__all__ = ["keep_unfused"]


def keep_unfused(model: ir.Model) -> int:
    """Put a Reshape to the same shape between each transposition and the product of doubles that takes it.

    onnxruntime 1.19 and 1.20 make one node of the two, FusedMatMul, which has no kernel for doubles on the
    CPU: the file does not load.  The Reshape moves nothing, and costs nothing.

    Parameters
    ----------
    model
        The finished model, with its dtypes; it is changed.

    Returns
    -------
    int
        How many operands there were.
    """
    done = 0
    for k, graph in enumerate(graphs_of(model)):
        op: Ops | None = None
        for node in list(graph):
            if node.op_type != "MatMul" or node.domain not in ("", "ai.onnx"):
                continue
            if all(v is None or v.dtype != ir.DataType.DOUBLE for v in (*node.inputs, *node.outputs)):
                continue
            for place, value in enumerate(node.inputs):
                rank = None if value is None else _turned_axes(value)
                if value is None or rank is None:
                    continue
                if op is None:
                    op = Ops(graph, 18, f"{free_scope(model, 'unfused')}/{k}")
                op.before = node
                same = op.Reshape(value, np.zeros(rank, np.int64), _fold=False)  # 0: the length that is there
                node.replace_input_with(place, op.annotate(same, value))
                done += 1
    return done


def _turned_axes(value: ir.Value) -> int | None:
    """Return how many axes a value has that is transposed, or a transposed one in another type."""
    producer = value.producer()
    if producer is not None and producer.op_type == "Cast" and producer.inputs[0] is not None:
        producer = producer.inputs[0].producer()
    if producer is None or producer.op_type != "Transpose":
        return None
    order, source = facts.attr(producer, "perm"), producer.inputs[0]
    if isinstance(order, (list, tuple)):
        return len(order)
    return None if source is None else facts.rank(source)

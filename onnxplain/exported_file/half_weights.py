"""Weights that a model holds in float16 stay so in the file, and become float32 when it is loaded."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.exported_file.scopes import free_scope, graphs_of
from onnxplain.graph.build import Ops

__all__ = ["halve_weights"]

_ENTRIES = 1024
_PIECE = 1 << 18


def halve_weights(model: ir.Model) -> int:
    """Hold weights of float32 in float16 where that loses no bit of any entry.

    The nodes that widen them read constants alone, so that a runtime which folds constants runs them once.

    Parameters
    ----------
    model
        The finished model; it is changed.

    Returns
    -------
    int
        Bytes that the file became smaller by.
    """
    return sum(_halve(graph, model) for graph in graphs_of(model))


def _halve(graph: ir.Graph, model: ir.Model) -> int:
    given = set(graph.inputs) | set(graph.outputs)
    fitting = [
        v
        for v in graph.initializers.values()
        if v not in given and (t := v.const_value) is not None and t.dtype == ir.DataType.FLOAT
        and t.size >= _ENTRIES and _fits(t.numpy())
    ]  # fmt: skip
    if not fitting:
        return 0
    op = Ops(graph, 18, free_scope(model, "halves"))
    op.before = next(iter(graph))
    saved = 0
    for value in fitting:
        assert value.const_value is not None
        half = op.initializer(value.const_value.numpy().astype(np.float16))
        made = op.Cast(half, to=int(ir.DataType.FLOAT), _fold=False)
        saved += value.const_value.nbytes // 2
        graph.initializers.pop(str(value.name))
        value.replace_all_uses_with(made)
    return saved


def _fits(array: Array) -> bool:
    """Tell whether float16 holds every entry as it is, piece by piece."""
    flat = array.ravel(order="K")
    with np.errstate(over="ignore"):
        return all(
            np.array_equal(piece.astype(np.float16).astype(np.float32), piece)
            for start in range(0, flat.size, _PIECE)
            for piece in (flat[start : start + _PIECE],)
        )

"""Where a program makes NaN or infinite numbers of finite ones."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, Arrays
from onnxplain.graph import facts
from onnxplain.runtime.session import Executable
from onnxplain.runtime.weights import WeightStore

__all__ = ["first_not_finite"]


def first_not_finite(model: ir.Model, feeds: Arrays) -> str | None:
    """Name the first node that gives NaN or infinite numbers where all that it uses is finite.

    Parameters
    ----------
    model
        A program as it was written, not lowered; it is changed.
    feeds
        Finite inputs for which it gives others.

    Returns
    -------
    str or None
        What to call the node, and whether the model or the walk back does so; None if all is finite.
    """
    graph = model.graph
    written = {node: facts.is_written(node) for node in graph}
    wanted = [v for node in graph for v in node.outputs if v.uses() or v.is_graph_output()]
    shown = [v for v in wanted if v.dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE)]
    graph.outputs.clear()
    graph.outputs.extend(shown)
    made = Executable(model, WeightStore(), "cpu").run(feeds)
    for node in graph:
        bad = [v for v in node.outputs if not _finite(made.get(str(v.name)))]
        if bad:
            return _walk(node) if written[node] else f"{facts.node_label(node)} of the model"
    return None


def _finite(array: Array | None) -> bool:
    return array is None or bool(np.isfinite(array).all())


def _walk(node: ir.Node) -> str:
    """Name a node of the walk back by the node that it goes through: scope/name/Operator_7."""
    through = str(node.name).split("/", 1)[-1].rpartition("/")[0]
    where = f" through '{through}'" if through else ""
    return f"the walk back{where} ({node.op_type} '{node.name}')"

"""Lengths that are known while a file is written are numbers in it: no node computes them when it runs."""

from __future__ import annotations

import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.exporting.together import tidy
from onnxplain.graph import facts
from onnxplain.graph.normalize import infer_shapes
from onnxplain.graph.passes.normal.fold_constants import FoldConstants

__all__ = ["settle_lengths"]

#: The name of the samples' axis in what a file gives beside the model's outputs.
_SAMPLES = "batch"
_ROUNDS = 8
#: Longer vectors of whole numbers are no lengths; a node makes them in less room.
_ENTRIES = 4096


class _FoldLengths(FoldConstants):
    """Computes whole numbers and truth values only: weights stay as they are, and the file's size."""

    def _compute(self, node: ir.Node, opset: int) -> list[Array] | None:
        kinds = {v.dtype for v in node.outputs}
        if not kinds <= {*facts.INTEGERS, ir.DataType.BOOL} or any(_is_large(v) for v in node.inputs):
            return None
        arrays = super()._compute(node, opset)
        return None if arrays is None or any(a.size > _ENTRIES for a in arrays) else arrays


def _is_large(value: ir.Value | None) -> bool:
    held = None if value is None else facts.constant(value)
    return held is not None and held.size > _ENTRIES


def settle_lengths(model: ir.Model, samples: int | None) -> None:
    """Compute what follows from known lengths: shapes, indices, limits of loops over them.

    Parameters
    ----------
    model
        The file's graph; it is changed.
    samples
        How many samples it takes at once; None where that is open.
    """
    fold = _FoldLengths()
    for _ in range(_ROUNDS):
        if not any(node.op_type in ("Shape", "Size") for node in model.graph.all_nodes()):
            break
        infer_shapes(model)
        if not fold(model).modified:
            break
    tidy(model)
    if samples is None or any(facts.static_shape(v) is None for v in model.graph.inputs):
        return
    for value in model.graph.outputs:  # of loops, in which no inference follows lengths
        dims = facts.dims(value)
        if dims and dims[0] == _SAMPLES:
            value.shape = ir.Shape([samples, *dims[1:]])

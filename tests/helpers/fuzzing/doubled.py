"""Relevance in float64, to tell a rule that loses something from rounding errors of float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.asks import Walk
from onnxplain.backward.program import build
from onnxplain.backward.question import Question
from onnxplain.graph.load import load
from onnxplain.graph.normalize import Normalized, normalize
from onnxplain.graph.passes.normal import Retype
from onnxplain.testing.reference import Evaluator

if TYPE_CHECKING:
    import onnxplain as ox

    from .drawing import Drawn

__all__ = ["missing"]


def missing(drawn: Drawn, method: ox.LRP) -> float:
    """Return what is in no attribution and kept by no node, of the first rows' score."""
    normal = normalize(load(drawn.model), expand=needs_body)
    Retype(frozenset({ir.DataType.FLOAT}), ir.DataType.DOUBLE)(normal.model)
    walk = Walk(method.rules(), account=True)
    axes = len(drawn.target)
    question = Question("y", drawn.floats, walk, target_axes=axes, through_softmax=True)
    program = build(Normalized(normal.model, ()), question)
    rows = drawn.rows(slice(0, drawn.batch))
    feeds = {k: v.astype(np.float64) if k in drawn.floats else v for k, v in rows.items()}
    index = np.tile(np.asarray(drawn.target, np.int64), (len(rows["x0"]), 1))
    found = Evaluator(program.model)({**feeds, program.target: index[:, 0] if axes == 1 else index})
    parts = [*program.attributions, *(name for _, name in program.kept)]
    return float(sum(found[name].sum() for name in parts) - found[program.score].sum())

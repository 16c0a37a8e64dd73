"""DeepLIFT in float64, for tests of its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.asks import Walk
from onnxplain.backward.composites.presets import preset
from onnxplain.backward.program import build
from onnxplain.backward.question import Question
from onnxplain.graph.load import load
from onnxplain.graph.normalize import Normalized, normalize
from onnxplain.graph.passes.normal import Retype
from onnxplain.runtime.programs import lower
from onnxplain.testing.reference import Evaluator

if TYPE_CHECKING:
    import onnx

    from onnxplain.backward.composites.composite import Composite

RULES = ("deep_lift_rescale", "deep_lift_reveal_cancel")


def explained(
    proto: onnx.ModelProto, rule: str | Composite, feeds: dict[str, np.ndarray], starts: dict[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return attributions in float64 by input, and the difference of the scores; the model has one score."""
    normal = normalize(load(proto), expand=needs_body)
    Retype(frozenset({ir.DataType.FLOAT}), ir.DataType.DOUBLE)(normal.model)
    question = Question("y", tuple(starts), Walk(preset(rule), "times_difference"), 0)
    program = build(Normalized(normal.model, ()), question)
    lower(program.model, "cpu")
    references = dict(zip(program.references, starts.values(), strict=True))
    found = Evaluator(program.model)({**feeds, **references})
    assert program.reference_score is not None
    made = {n: found[a] for n, a in zip(starts, program.attributions, strict=True)}
    return made, found[program.score] - found[program.reference_score]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Return normal numbers, float64."""
    return np.random.default_rng(seed).standard_normal(shape)

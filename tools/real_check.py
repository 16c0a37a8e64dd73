"""Gradients of trained models against central differences, in float64 on the ONNX reference evaluator.

Used by ``tests/real`` and ``tools/make_models_doc.py``. What is checked is the very program that the
explainer runs, with its types changed: token inputs at their embedding, classifiers before their Softmax.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.adjoint import needs_body
from onnxplain.backward.program import build
from onnxplain.backward.question import Question
from onnxplain.graph import interface
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.passes.normal import Retype
from onnxplain.runtime.front import front
from onnxplain.specialised import leaves_ranks_open, specialised
from onnxplain.testing.reference import Evaluator

__all__ = ["STEPS", "Agreement", "check"]

#: Of central differences; in units of an input's mean magnitude.
STEPS = (1e-9, 1e-8, 1e-7, 1e-6)

_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16})


@dataclass(frozen=True)
class Agreement:
    """A directional derivative, twice.

    Attributes
    ----------
    analytic, numeric
        From the backward graph, and from central differences.
    scale
        Root of the sum of squares of the terms of ``analytic``: its size for a random direction.
    score
        The explained score.
    """

    analytic: float
    numeric: float
    scale: float
    score: float

    @property
    def relative_error(self) -> float:
        """``|analytic - numeric| / max(|analytic|, scale)``."""
        return abs(self.analytic - self.numeric) / max(abs(self.analytic), self.scale, 1e-300)


def check(model: Any, *, jitter: float, steps: Sequence[float] = STEPS, seed: int = 0) -> Agreement:
    """Check the gradient of a model's score at its real input.

    A difference over a short step is off by the score's rounding, which says nothing of the gradient, and one
    over a long step by kinks: of several steps the one counts that agrees best.  A gradient that is wrong
    agrees with none.

    Parameters
    ----------
    model : real_inputs.RealModel
        Model, input and target.
    steps : sequence of float
        Of the central differences, in units of the mean magnitude of each input.
    jitter : float
        Noise added to the input, in the same units: real images have ties (equal pixels) where the
        derivative jumps.
    seed : int
        Of the noise and the random direction.
    """
    rng = np.random.default_rng(seed)
    normal = normalize(load(model.path), expand=needs_body)
    if leaves_ranks_open(normal):
        normal = specialised(normal, {k: np.shape(v) for k, v in model.feeds.items()})
    infos = [i for i in interface.inputs_of(normal.model.graph) if i.explained]
    entries = tuple(e for i in infos for e in i.entries)
    Retype(_FLOATS, ir.DataType.DOUBLE)(normal.model)
    feeds = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in model.feeds.items()}
    inner = tuple(e for e in entries if e not in feeds)
    point = {e: feeds[e] for e in entries if e in feeds}
    if inner:
        point |= Evaluator(front(normal.model, inner))(feeds)
    shape = np.shape(Evaluator(normal.model)(feeds)[model.output])
    batch = next(iter(feeds[i.name].shape[0] for i in infos if feeds[i.name].ndim))
    batched = bool(shape) and shape[0] == batch
    index = model.target[1:] if batched else model.target
    question = Question(model.output, entries, target_axes=len(index), output_axis=0 if batched else None)
    program = build(normal, question)
    target = np.tile(np.array(index, np.int64), (batch if batched else 1, 1))
    feeds["target"] = target[:, 0] if len(index) == 1 else target
    run, forward = Evaluator(program.model), Evaluator(front(program.model, (program.score,)))
    units = {e: float(np.abs(v).mean()) + 1e-12 for e, v in point.items()}
    point = {e: v + jitter * units[e] * rng.standard_normal(v.shape) for e, v in point.items()}
    direction = {e: units[e] * rng.standard_normal(v.shape) for e, v in point.items()}

    def score(step: float) -> float:
        moved = {e: v + step * direction[e] for e, v in point.items()}
        return float(np.sum(forward({**feeds, **moved})[program.score]))

    made = run({**feeds, **point})
    terms = [made[a] * direction[e] for e, a in zip(entries, program.attributions, strict=True)]
    analytic = float(sum(t.sum() for t in terms))
    scale = float(np.sqrt(sum((t**2).sum() for t in terms)))
    own = float(np.sum(made[program.score]))
    numeric = ((score(s) - score(-s)) / (2 * s) for s in steps)
    return min((Agreement(analytic, n, scale, own) for n in numeric), key=lambda a: a.relative_error)

"""Input invariance (Kindermans et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from onnxplain._types import Arrays
from onnxplain.metrics.axioms.changed import apart, changed, explained, refuse_inner, refuse_integers, same
from onnxplain.metrics.axioms.entrances import shifted, shifted_biases
from onnxplain.metrics.base import Metric, Need
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial, by_feature
from onnxplain.options import Weight

__all__ = ["InputInvariance"]

_Shift = Annotated[float, Field(ge=-1e37, le=1e37, description="a number from -1e37 to 1e37")]


@dataclass(frozen=True)
class InputInvariance(Metric):
    """How much attributions change when inputs are shifted, and the model takes the shift off again.

    With ``f'(x + m) = f(x)`` for all x, the value is the largest difference between the attributions of f at
    x and of f' at ``x + m``, relative to the largest attribution (Kindermans et al. 2017): the two models
    compute the same, and only the origin of the inputs is another.  Baselines stay where they are, which is
    what the paper is about; ``baselines="mean"`` moves along with the inputs.

    The shift is in the biases of the first layers, as in the paper, where these are Gemm, MatMul or Conv
    without padding, and else taken off where the inputs enter; notes say which.  ``extras["invariant"]`` says
    of each sample whether all attributions are the same within the tolerance, as Quantus does.

    Parameters
    ----------
    shift
        m, in the units of the inputs, added to all elements.
    tolerance
        Up to which difference, in the attributions' units, an attribution counts as the same.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "input_invariance"
    higher_is_better: ClassVar[bool | None] = False
    needs: ClassVar[tuple[Need, ...]] = ("method",)
    range: ClassVar[tuple[float, float]] = (0.0, 2.0)

    shift: _Shift = -1.0
    tolerance: Weight = 1e-4

    def measure(self, trial: Trial) -> Measured:
        """Explain the shifted model at shifted samples."""
        assert trial.attribution is not None
        refuse_inner(trial)
        refuse_integers(trial, self.name)
        points: Arrays = {
            k: (v + v.dtype.type(self.shift)).astype(v.dtype) for k, v in trial.features.items()
        }
        by = dict.fromkeys(points, self.shift)
        other = changed(trial.explainer, ("biases", *by.items()), partial(shifted_biases, by=by))
        where = "in the biases of its first layers" if other else "taken off where the inputs enter"
        if other is None:
            other = changed(trial.explainer, ("shifted", *by.items()), partial(shifted, by=by))
        assert other is not None
        found = explained(trial, other, points)
        notes = [f"the shift is {where}"]
        if not same(found.score, trial.attribution.score):
            notes.append("the shifted model's scores are others, by rounding; give a smaller shift")
            return self.result(np.full(trial.n, np.nan), notes=tuple(notes))
        theirs = self.prepare(by_feature(found))
        kept = np.ones(trial.n, bool)
        for name, values in trial.values.items():
            near = np.isclose(values, theirs[name], atol=self.tolerance)
            kept &= near.reshape(trial.n, -1).all(1)
        return self.result(apart(theirs, trial.values), extras={"invariant": kept}, notes=tuple(notes))

"""Non-sensitivity (Nguyen & Martinez 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, IntArray
from onnxplain.metrics.base import Metric
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count, Weight

__all__ = ["NonSensitivity"]


@dataclass(frozen=True)
class NonSensitivity(Metric):
    """How many features get nothing though the score needs them, or something though it does not.

    With ``A0 = {i : |a_i| < eps}`` and ``X0 = {i : |S(x) - S(x without i)| < eps}``, the value is the number
    of features in one of the two only, ``|A0 symmetric difference X0|`` (Nguyen & Martinez 2020).  Whether a
    score needs a feature is judged by taking it away once; the paper averages over values that it may have.

    ``extras["share"]`` is the value over the number of features, ``extras["overlooked"]`` how many are
    needed and get nothing, ``extras["unneeded"]`` how many get something and are not needed.

    Parameters
    ----------
    eps
        Below which an attribution, and a change of the score, counts as none.
    features_in_step
        How many features (neighbours in the order of the input) are taken away at once; the largest of their
        attributions counts for each of them.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`; both are on, so that ``eps`` is a share of the largest
        attribution.
    """

    name: ClassVar[str] = "non_sensitivity"
    higher_is_better: ClassVar[bool | None] = False
    removes: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, np.inf)

    eps: Weight = 1e-5
    features_in_step: Count = 1
    absolute: bool = field(default=True, kw_only=True)
    normalise: bool = field(default=True, kw_only=True)

    def measure(self, trial: Trial) -> Measured:
        """Take features away, one step after the other."""
        there = trial.present
        place = np.cumsum(there, axis=1) - 1  # of each player among those of its sample
        step = np.where(there, place // self.features_in_step, -1)
        steps = int(step.max(initial=-1)) + 1

        def kept(which: slice, rows: IntArray) -> Array:
            gone = np.arange(which.start, which.stop)[:, None, None]
            stays: Array = step[None, rows] != gone
            return stays

        scores = trial.without(steps, kept)
        largest = np.zeros((trial.n, steps + 1))
        rows = np.arange(trial.n)[:, None]
        np.maximum.at(largest, (rows, step), np.abs(trial.weights))
        nothing = largest[:, :-1] < self.eps
        unneeded = np.abs(scores - trial.score[:, None]) < self.eps
        sizes = np.zeros((trial.n, steps + 1))
        np.add.at(sizes, (rows, step), there.astype(float))
        sizes = sizes[:, :-1]
        overlooked = (sizes * (nothing & ~unneeded)).sum(1)
        idle = (sizes * (unneeded & ~nothing)).sum(1)
        value = overlooked + idle
        share = value / np.maximum(there.sum(1), 1)
        return self.result(value, extras={"share": share, "overlooked": overlooked, "unneeded": idle})

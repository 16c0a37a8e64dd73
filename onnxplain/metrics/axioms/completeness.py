"""Completeness (Sundararajan et al. 2017), summation to delta, conservation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from onnxplain._types import Array, IntArray
from onnxplain.metrics.base import Metric
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Weight

__all__ = ["Completeness"]

#: What a sum that should be 0 is compared with.
_LEAST = 1e-12


@dataclass(frozen=True)
class Completeness(Metric):
    """How far the attributions are from summing to what they explain (Sundararajan et al. 2017).

    With ``x'`` the sample without any of its features, the value is ``|sum_i a_i - (S(x) - S(x'))|``,
    relative to ``|S(x) - S(x')|``.  Shrikumar et al. (2017) call it summation to delta; Montavon et al.
    (2018) ask for ``S(x)`` instead, conservation.  ``extras["complete"]`` says of each sample whether it is
    kept within the tolerance, ``extras["sum"]`` and ``extras["asked"]`` are the two sides.

    Parameters
    ----------
    to
        ``"difference"``: the sum should be ``S(x) - S(x')``; ``"score"``: it should be ``S(x)``.
    relative
        Whether the value is relative to what the sum should be (and infinite never: what should be 0 counts
        as 1e-12), or in the units of the score.
    tolerance
        Up to which relative error an explanation counts as complete.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "completeness"
    higher_is_better: ClassVar[bool | None] = False
    removes: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, np.inf)

    to: Literal["difference", "score"] = "difference"
    relative: bool = True
    tolerance: Weight = 1e-3

    def measure(self, trial: Trial) -> Measured:
        """Compare the sums with what the scores say."""
        total, asked = trial.weights.sum(1), trial.score
        if self.to == "difference":
            asked = asked - trial.without(1, _nobody(trial.players.count))[:, 0]
        off = np.abs(total - asked)
        share = off / np.maximum(np.abs(asked), _LEAST)
        return self.result(
            share if self.relative else off,
            extras={"sum": total, "asked": asked, "complete": share <= self.tolerance},
        )


def _nobody(count: int) -> Callable[[slice, IntArray], Array]:
    """Return a choice in which nobody stays."""

    def kept(steps: slice, rows: IntArray) -> Array:
        return np.zeros((steps.stop - steps.start, len(rows), count), bool)

    return kept

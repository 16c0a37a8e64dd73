"""Monotonicity (Arya et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain.metrics.base import Metric
from onnxplain.metrics.orders import listed, nobody, ranks, there_after, way
from onnxplain.metrics.result import Curve, Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count, Weight

__all__ = ["Monotonicity"]


@dataclass(frozen=True)
class Monotonicity(Metric):
    """Whether the score never falls while features are put back, least important first (Arya et al. 2019).

    With ``b_k`` the baselines to which the first k of K features, in ascending order of attribution, have
    been brought back, the value is 1 where ::

        S(b_k) <= S(b_k+1)    for all k from 1 to K - 1,

    and 0 elsewhere; what the first of them does is not looked at, as in AI Explainability 360.  The share of
    these steps at which the score does not fall is in ``extras["share"]``.  What counts against a target
    lowers its score whenever it comes, so 1 is hardly within reach where something does.

    In Quantus (0.6.0) the features that are put back are the baseline's own, so that nothing changes and the
    value is always 1; and attributions are magnitudes by default (here with ``absolute=True``).

    Parameters
    ----------
    features_in_step
        How many features are put back at once.
    tolerance
        Falls up to this share of the largest magnitude on the way are taken for rounding.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "monotonicity"
    higher_is_better: ClassVar[bool | None] = True
    removes: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    features_in_step: Count = 1
    tolerance: Weight = 1e-6

    def measure(self, trial: Trial) -> Measured:
        """Put features back in order."""
        counts, at = way(trial, in_step=self.features_in_step)
        scores = there_after(trial, ranks(trial, descending=False), counts)
        rounding = self.tolerance * np.abs(scores).max(1, initial=0.0)[:, None]
        kept = np.diff(scores[:, 1:], axis=1) >= -rounding
        own = np.diff(counts[:, 1:], axis=1) > 0  # others may have more
        steps = own.sum(1)
        held = (kept & own).sum(1)
        share = np.where(steps > 0, held / np.maximum(steps, 1), np.nan)
        values = np.where(steps > 0, (held == steps).astype(np.float64), np.nan)
        notes = nobody(trial)
        single = np.flatnonzero((steps == 0) & trial.present.any(1))
        if len(single):
            said = (
                f"sample {listed(single)} is put back in a single step, which has nothing to compare with, "
                "so the value is NaN; put fewer features back at once (features_in_step, feature_mask)"
            )
            notes = (*notes, said)
        curves = {"monotonicity": Curve(at, scores)}
        return self.result(values, curves=curves, extras={"share": share}, notes=notes)

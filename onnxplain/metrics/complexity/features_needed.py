"""How many features hold the score (Nguyen & Martínez 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from onnxplain.metrics.base import Metric
from onnxplain.metrics.notes import unsaid
from onnxplain.metrics.orders import ranks, there_after, way
from onnxplain.metrics.result import Curve, Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count, Share

__all__ = ["FeaturesNeeded"]

#: Scores that differ by less than this part of them are the same.
_SAME = 1e-6


@dataclass(frozen=True)
class FeaturesNeeded(Metric):
    """How many of the most important features are enough to hold the score (after Nguyen & Martínez 2020).

    With ``b_k`` the baselines (0 if none are given) to which the first k features, by attribution, have been
    brought back, it is the least k with ``|S(b_k) - S(x)| <= tolerance |S(b_0) - S(x)|``.  This is the
    effective complexity as the paper has it, ``min k`` such that the expected loss of a model that knows only
    these k is small, with the baselines in the place of draws;
    :class:`~onnxplain.metrics.EffectiveComplexity` counts attributions, and does not ask the model.  The
    curve ``"loss"`` is ``|S(b_k) - S(x)| / |S(b_0) - S(x)|``.

    Features are the pixels of an image, channels together, or else elements, if no ``feature_mask`` is given.

    Parameters
    ----------
    tolerance
        How far the score may be from that of the sample, as a part of what it differs from that of the
        baselines.
    n_steps
        Into how many steps the way is cut at most; each brings ``ceil(K / n_steps)`` of K features back at
        once, and whole steps are counted.
    absolute
        Whether features are ordered by the magnitudes of their attributions, as in the paper.
    normalise
        Of no account.
    """

    name: ClassVar[str] = "features_needed"
    higher_is_better: ClassVar[bool | None] = False
    removes: ClassVar[bool] = True
    usual_mask: ClassVar[str | None] = "pixels"
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    tolerance: Share = 0.1
    n_steps: Count = 224
    absolute: bool = field(default=True, kw_only=True)

    def measure(self, trial: Trial) -> Measured:
        """Put features back in order."""
        counts, at = way(trial, n_steps=self.n_steps)
        scores = there_after(trial, ranks(trial), counts)
        whole, nothing = scores[:, -1:], scores[:, :1]
        fall = np.abs(nothing - whole)
        same = fall <= _SAME * np.maximum(np.abs(nothing), np.abs(whole))
        loss = np.abs(scores - whole) / np.where(same, np.nan, fall)
        first = (loss <= self.tolerance).argmax(1)
        found = np.where(same[:, 0], np.nan, np.take_along_axis(counts, first[:, None], axis=1)[:, 0])
        curve = Curve(at, loss, "share of the features that are there", "loss")
        why = "the score is the same without any features"
        return self.result(found, curves={"loss": curve}, notes=unsaid(same[:, 0], why))

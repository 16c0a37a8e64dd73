"""Iterative removal of features (Rieger & Hansen 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain.features.players import Players
from onnxplain.features.segments import Segments
from onnxplain.metrics.base import Metric
from onnxplain.metrics.orders import area, gone_after, listed, means, nobody, ranks, way
from onnxplain.metrics.playing import in_segments
from onnxplain.metrics.result import Curve, Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count
from onnxplain.runtime.problem import Problem

__all__ = ["IROF"]


@dataclass(frozen=True)
class IROF(Metric):
    """The area over the score while superpixels are taken away, in order (Rieger & Hansen 2020).

    With ``x_k`` the sample without the first k of its L segments, by the mean of their attributions::

        IROF = 1 - integral over k / L from 0 to 1 of S(x_k) / S(x),

    by the trapezoidal rule.  A faithful explanation makes it high.  Segments are superpixels (slic) of images
    and volumes, or else elements, if no ``feature_mask`` is given (``ox.Segments(...)`` for others); in
    images, the mean of each channel stands where they were, if no baselines are given.

    A share of the score says something of scores above 0 only, such as probabilities
    (``through_softmax=True``): of other samples the value is NaN.  Where the score is nearly 0, shares of it
    are large numbers, so explain classes that the model sees (``target="predicted"``).

    Quantus's curve begins behind the first segment, and its area is over steps of width 1, so it grows with
    their number; it takes half a step too much off images with fewer segments than others in the batch, and
    fails on several channels (0.6.0).

    Parameters
    ----------
    n_segments
        About how many superpixels an image is cut into.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "irof"
    higher_is_better: ClassVar[bool | None] = True
    removes: ClassVar[bool] = True
    usual_baseline: ClassVar[str | None] = "mean"
    usual_mask: ClassVar[str | None] = "segments"

    n_segments: Count = 100

    def players(self, problem: Problem) -> Players | None:
        """Return superpixels."""
        return in_segments(problem, Segments(self.n_segments, sigma=0.0))

    def measure(self, trial: Trial) -> Measured:
        """Take segments away in order."""
        counts, at = way(trial, in_step=1)
        scores = gone_after(trial, ranks(trial, weights=means(trial)), counts)
        whole = scores[:, :1]
        left = scores / np.where(whole > 0, whole, np.nan)
        notes = nobody(trial)
        none = np.flatnonzero(whole[:, 0] <= 0)
        if len(none):
            said = (
                f"the score of sample {listed(none)} is not above 0, so a share of it says nothing, and the "
                "value is NaN; measure probabilities (through_softmax=True)"
            )
            notes = (*notes, said)
        curves = {"removal": Curve(at, left, what="share of the score")}
        return self.result(1 - area(at, left), curves=curves, notes=notes)

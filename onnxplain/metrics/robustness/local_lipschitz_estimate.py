"""Local Lipschitz estimate (Alvarez-Melis and Jaakkola 2018)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.metrics.neighbours import GaussianNoise, Nearby
from onnxplain.metrics.robustness.base import Neighbourhood, Seen
from onnxplain.metrics.similarity import euclidean
from onnxplain.options import Count, Positive, Seed

__all__ = ["LocalLipschitzEstimate"]


@dataclass(frozen=True)
class LocalLipschitzEstimate(Neighbourhood):
    """How fast an explanation changes near a sample, at most (Alvarez-Melis and Jaakkola 2018).

    ``max_k |A(x_k) - A(x)| / |x_k - x|`` in Euclidean lengths, with ``x_k = x + d_k`` and Gaussian ``d_k``:
    an estimate from below of the constant L in ``|A(x') - A(x)| <= L |x' - x|``.  More points find steeper
    places: compare methods by the same number of them.

    Parameters
    ----------
    n_samples
        Points near each sample.
    perturb_mean, perturb_std
        Mean and standard deviation of the noise, in the input's units.
    seed
        Same seed, same bits.
    when_prediction_changes
        What becomes of points where the output's highest entry is another than at the sample: ``"keep"``
        counts them as all others, ``"leave_out"`` does not count them, ``"nan"`` says nothing of the sample.
    absolute
        See :class:`~onnxplain.metrics.Metric`; the explanations near the samples are made so, too.
    normalise
        Whether to divide each explanation by its largest magnitude (as Quantus does by default), so that
        methods of other units compare; the paper does not.

    Notes
    -----
    ``extras["changes"]``, (N, n_samples), holds the change at each point; NaN where it is the sample itself,
    as when the input's precision swallows the noise.
    """

    name: ClassVar[str] = "local_lipschitz_estimate"
    says_nothing: ClassVar[str] = "all points near them are the samples themselves; take a larger perturb_std"

    n_samples: Count = 200
    perturb_mean: float = 0.0
    perturb_std: Positive = 0.1
    seed: Seed = 0
    normalise: bool = field(default=True, kw_only=True)

    def nearby(self) -> Nearby:
        """Draw Gaussian noise."""
        return GaussianNoise(self.n_samples, self.perturb_mean, self.perturb_std, self.seed)

    def change(self, here: Seen, there: Seen) -> FloatArray:
        """Return the distance of explanations over that of the points."""
        away = euclidean(here.features, there.features)
        return euclidean(here.values, there.values) / np.where(away > 0, away, np.nan)

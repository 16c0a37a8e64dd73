"""Sensitivity of explanations (Yeh et al. 2019): the largest, and the average one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.metrics.neighbours import Nearby, UniformNoise
from onnxplain.metrics.robustness.base import Neighbourhood, Seen
from onnxplain.metrics.similarity import euclidean
from onnxplain.options import Count, Positive, Seed

__all__ = ["AvgSensitivity", "MaxSensitivity"]


@dataclass(frozen=True)
class _Sensitivity(Neighbourhood):
    """What both have in common."""

    says_nothing: ClassVar[str] = "their attributions are all 0, so there is nothing to compare a change with"

    n_samples: Count = 200
    radius: Positive = 0.2
    seed: Seed = 0

    def nearby(self) -> Nearby:
        """Draw from a cube around the sample."""
        return UniformNoise(self.n_samples, -self.radius, self.radius, self.seed)

    def change(self, here: Seen, there: Seen) -> FloatArray:
        """Return the distance of explanations over the length of the sample's."""
        length = euclidean(here.values, np.zeros_like(here.values))
        return euclidean(here.values, there.values) / np.where(length > 0, length, np.nan)


@dataclass(frozen=True)
class MaxSensitivity(_Sensitivity):
    """How much an explanation changes at most where the input hardly does (Yeh et al. 2019).

    ``max_k |A(x + d_k) - A(x)| / |A(x)|`` in Euclidean lengths, with ``d_k`` uniform in the cube from
    ``-radius`` to ``radius``.  More points find larger changes: compare methods by the same number of them.
    Over ``|A(x)|`` it is as Quantus and Captum have it; in the paper the difference stands alone.

    Parameters
    ----------
    n_samples
        Points near each sample.
    radius
        Half the cube's side, in the input's units.
    seed
        Same seed, same bits.
    when_prediction_changes
        What becomes of points where the output's highest entry is another than at the sample: ``"keep"``
        counts them as all others, ``"leave_out"`` does not count them, ``"nan"`` says nothing of the sample.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`; the explanations near the samples are made so, too.

    Notes
    -----
    ``extras["changes"]``, (N, n_samples), holds the change at each point.  Of a sample whose attributions are
    all 0, nothing is said.
    """

    name: ClassVar[str] = "max_sensitivity"


@dataclass(frozen=True)
class AvgSensitivity(_Sensitivity):
    """How much an explanation changes on average where the input hardly does.

    ``mean_k |A(x + d_k) - A(x)| / |A(x)|``: :class:`MaxSensitivity` (Yeh et al. 2019) with the mean of the
    same changes, which hardly depends on their number.

    Parameters
    ----------
    n_samples
        Points near each sample.
    radius
        Half the cube's side, in the input's units.
    seed
        Same seed, same bits.
    when_prediction_changes
        What becomes of points where the output's highest entry is another than at the sample: ``"keep"``
        counts them as all others, ``"leave_out"`` does not count them, ``"nan"`` says nothing of the sample.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`; the explanations near the samples are made so, too.

    Notes
    -----
    ``extras["changes"]``, (N, n_samples), holds the change at each point.  Of a sample whose attributions are
    all 0, nothing is said.
    """

    name: ClassVar[str] = "avg_sensitivity"

    def combined(self, changes: FloatArray) -> float:
        """Return their mean."""
        return float(changes.mean())

"""Faithfulness estimate (Alvarez-Melis & Jaakkola 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, IntArray
from onnxplain.metrics.base import Metric
from onnxplain.metrics.changes import changes
from onnxplain.metrics.notes import unsaid
from onnxplain.metrics.orders import ranks
from onnxplain.metrics.result import Measured
from onnxplain.metrics.similarity import CONSTANT, Correlation, correlation
from onnxplain.metrics.subsets import Groups
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count

__all__ = ["FaithfulnessEstimate"]


@dataclass(frozen=True)
class FaithfulnessEstimate(Metric):
    """Whether each feature's attribution is what the score loses without it (Alvarez-Melis & Jaakkola 2018).

    With ``x_i`` the sample without feature i alone, the value is the correlation over the features of ``a_i``
    with ``S(x) - S(x_i)``.

    Parameters
    ----------
    features_in_step
        How many features are taken away at once: the ones of the highest attributions, then the next.  Their
        attributions are summed.
    similarity
        Which correlation: ``"pearson"``, ``"spearman"`` or ``"kendall_tau"``.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`; a sample's scale changes no correlation.
    """

    name: ClassVar[str] = "faithfulness_estimate"
    higher_is_better: ClassVar[bool | None] = True
    removes: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    features_in_step: Count = 1
    similarity: Correlation = "pearson"

    def measure(self, trial: Trial) -> Measured:
        """Take features away, each by itself."""
        groups = Groups.of(trial, ranks(trial), self.features_in_step)

        def kept(steps: slice, rows: IntArray) -> Array:
            return ~groups.chosen(np.arange(steps.start, steps.stop), rows)

        lost = changes(trial, trial.without(groups.count, kept))
        values = correlation(self.similarity, groups.sums(trial.weights), lost, groups.counts)
        return self.result(values, notes=unsaid(np.isnan(values), CONSTANT))

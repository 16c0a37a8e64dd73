"""Faithfulness correlation (Bhatt et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, IntArray
from onnxplain.errors import MethodError
from onnxplain.metrics.base import Metric
from onnxplain.metrics.changes import changes
from onnxplain.metrics.notes import unsaid
from onnxplain.metrics.result import Measured
from onnxplain.metrics.similarity import CONSTANT, Correlation, correlation
from onnxplain.metrics.subsets import Subsets
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count, Seed

__all__ = ["FaithfulnessCorrelation"]

_USUAL = 224


@dataclass(frozen=True)
class FaithfulnessCorrelation(Metric):
    """Whether attributions add up to what happens when random features are taken away (Bhatt et al. 2020).

    With random subsets ``T`` of the features, all of one size, and ``x_T`` the sample without them, the value
    is the correlation over the subsets of ``sum_{i in T} a_i`` with ``S(x) - S(x_T)``.

    Parameters
    ----------
    n_runs
        How many subsets are drawn.
    subset_size
        How many features a subset has; fewer than a sample has.  None: 224, or half of a sample's features
        where it has 448 or fewer.
    similarity
        Which correlation: ``"pearson"``, ``"spearman"`` or ``"kendall_tau"``.
    seed
        Same seed, same subsets.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`; a sample's scale changes no correlation.
    """

    name: ClassVar[str] = "faithfulness_correlation"
    higher_is_better: ClassVar[bool | None] = True
    removes: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    n_runs: Count = 100
    subset_size: Count | None = None
    similarity: Correlation = "pearson"
    seed: Seed = 0

    def measure(self, trial: Trial) -> Measured:
        """Take random subsets away.

        Raises
        ------
        MethodError
            If a sample has no more features than a subset is to have.
        """
        sizes = self._sizes(trial.present.sum(1))
        subsets = Subsets(trial.present, np.repeat(sizes[:, None], self.n_runs, axis=1), self.seed)

        def kept(steps: slice, rows: IntArray) -> Array:
            return ~subsets.chosen(steps, rows)

        lost = changes(trial, trial.without(self.n_runs, kept))
        values = correlation(self.similarity, subsets.sums(trial.weights), lost)
        return self.result(values, notes=unsaid(np.isnan(values), CONSTANT))

    def _sizes(self, players: IntArray) -> IntArray:
        """Return the size of each sample's subsets, (n,)."""
        if self.subset_size is None:
            return np.maximum(np.minimum(_USUAL, players // 2), 1)
        if (players <= self.subset_size).any():
            least = int(players.min())
            raise MethodError(
                f"faithfulness_correlation: subset_size is {self.subset_size}, and a sample has {least} "
                f"features; give a smaller one"
            )
        return np.full(len(players), self.subset_size)

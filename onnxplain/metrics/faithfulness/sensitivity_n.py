"""Sensitivity-n (Ancona et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, IntArray
from onnxplain.metrics.base import Metric
from onnxplain.metrics.changes import changes
from onnxplain.metrics.notes import unsaid
from onnxplain.metrics.result import Curve, Measured
from onnxplain.metrics.similarity import CONSTANT, Correlation, correlation
from onnxplain.metrics.subsets import Subsets
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count, Seed, Share

__all__ = ["SensitivityN"]


@dataclass(frozen=True)
class SensitivityN(Metric):
    """Whether attributions add up to what happens without n features, from few to many (Ancona et al. 2018).

    For each n, with random subsets ``T`` of n features and ``x_T`` the sample without them, the curve is the
    correlation over the subsets of ``sum_{i in T} a_i`` with ``S(x) - S(x_T)``; the value is its mean.

    Parameters
    ----------
    n_sizes
        How many n there are: from 1 to ``max_share`` of a sample's features, each larger than the one before
        by the same factor, rounded.  Where there are few features, some come more than once, with other
        subsets.
    n_subsets
        How many subsets are drawn for each n.
    max_share
        The largest n, as a share of the features.
    similarity
        Which correlation: ``"pearson"``, ``"spearman"`` or ``"kendall_tau"``.
    seed
        Same seed, same subsets.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`; a sample's scale changes no correlation.
    """

    name: ClassVar[str] = "sensitivity_n"
    higher_is_better: ClassVar[bool | None] = True
    removes: ClassVar[bool] = True
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    n_sizes: Count = 10
    n_subsets: Count = 100
    max_share: Share = 0.8
    similarity: Correlation = "pearson"
    seed: Seed = 0

    def measure(self, trial: Trial) -> Measured:
        """Take random subsets of several sizes away."""
        players = trial.present.sum(1)
        largest = np.maximum(np.floor(self.max_share * players), 1)
        sizes = np.rint(np.geomspace(np.ones(len(players)), largest, self.n_sizes, axis=1)).astype(np.int64)
        subsets = Subsets(trial.present, np.repeat(sizes, self.n_subsets, axis=1), self.seed)

        def kept(steps: slice, rows: IntArray) -> Array:
            return ~subsets.chosen(steps, rows)

        lost = changes(trial, trial.without(subsets.count, kept))
        shape = trial.n * self.n_sizes, self.n_subsets
        sums = subsets.sums(trial.weights).reshape(shape)
        found = correlation(self.similarity, sums, lost.reshape(shape)).reshape(trial.n, self.n_sizes)
        said = ~np.isnan(found)
        total, count = np.where(said, found, 0).sum(1), said.sum(1)
        values = np.divide(total, count, out=np.full(trial.n, np.nan), where=count > 0)
        curve = Curve(sizes / np.maximum(players, 1)[:, None], found, what="correlation")
        notes = unsaid(count == 0, CONSTANT)
        return self.result(values, curves={"sensitivity_n": curve}, notes=notes)

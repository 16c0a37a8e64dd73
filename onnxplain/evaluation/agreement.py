"""Ranks, and how far metrics agree about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from onnxplain._types import FloatArray
from onnxplain.metrics.similarity import kendall_tau, spearman

__all__ = ["Kind", "agreement_of", "ranks_of"]

#: Rank correlations.
Kind = Literal["kendall", "spearman"]


def ranks_of(means: FloatArray, higher: Sequence[bool | None]) -> FloatArray:
    """Return ranks of methods by each metric, 1 for the best; equal means share the better rank.

    Parameters
    ----------
    means
        (methods, metrics): NaN where there is none.
    higher
        Whether higher values speak for the explanation; None where neither does, which ranks nobody.
    """
    from scipy.stats import rankdata

    ranks = np.full(means.shape, np.nan)
    for k, way in enumerate(higher):
        known = ~np.isnan(means[:, k])
        if way is not None and known.any():
            ranks[known, k] = rankdata(-means[known, k] if way else means[known, k], method="min")
    return ranks


def agreement_of(ranks: FloatArray, kind: Kind = "kendall") -> FloatArray:
    """Return the rank correlation of each pair of metrics over the methods that both rank.

    Parameters
    ----------
    ranks
        (methods, metrics), NaN where there is none.
    kind
        ``"kendall"`` (tau-b) or ``"spearman"``.

    Returns
    -------
    (metrics, metrics): NaN where there are fewer than two such methods, or one of the metrics tells none of
    them apart.
    """
    count = ranks.shape[1]
    made = np.full((count, count), np.nan)
    for a in range(count):
        for b in range(a, count):
            both = ~np.isnan(ranks[:, [a, b]]).any(1)
            made[a, b] = made[b, a] = _correlation(ranks[both, a], ranks[both, b], kind)
    return made


def _correlation(a: FloatArray, b: FloatArray, kind: Kind) -> float:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float((kendall_tau if kind == "kendall" else spearman)(a[None], b[None])[0])

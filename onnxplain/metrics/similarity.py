"""How alike two arrays are, row by row: correlations and distances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import numpy as np

from onnxplain._types import Array, FloatArray

__all__ = [
    "CONSTANT",
    "CORRELATIONS",
    "Between",
    "Correlation",
    "between_rows",
    "chebyshev",
    "correlation",
    "cosine",
    "euclidean",
    "kendall_tau",
    "manhattan",
    "mean_absolute_error",
    "mean_squared_error",
    "pearson",
    "rank_rows",
    "spearman",
]

#: Names of the correlations.
Correlation: TypeAlias = Literal["pearson", "spearman", "kendall_tau"]

#: Names of the distances between all pairs of rows.
Between: TypeAlias = Literal["seuclidean", "euclidean", "cityblock", "chebyshev"]

#: Why a correlation of attributions with scores says nothing of a sample.
CONSTANT = "its attributions or the changes of its score are all the same, or there are fewer than two"


def pearson(a: Array, b: Array) -> FloatArray:
    """Return Pearson's correlation of rows, (n,), from -1 to 1.

    NaN where a row is constant, or shorter than 2.

    Parameters
    ----------
    a, b
        (n, K).
    """
    first, second = _centred(a), _centred(b)
    sizes = _lengths(first) * _lengths(second)
    products: FloatArray = (first * second).sum(1)
    return _divided(products, sizes).clip(-1, 1)


def spearman(a: Array, b: Array) -> FloatArray:
    """Return Spearman's rank correlation of rows, (n,), from -1 to 1: Pearson's of ranks, ties shared.

    NaN where a row is constant, or shorter than 2.

    Parameters
    ----------
    a, b
        (n, K).
    """
    return pearson(rank_rows(a), rank_rows(b))


def kendall_tau(a: Array, b: Array) -> FloatArray:
    """Return Kendall's rank correlation of rows, (n,), from -1 to 1: tau-b, which takes ties into account.

    NaN where a row is constant, or shorter than 2.

    Parameters
    ----------
    a, b
        (n, K).
    """
    from scipy.stats import kendalltau

    first, second = _float64(a), _float64(b)
    found = np.full(len(first), np.nan)
    way = "exact" if first.shape[1] == 2 else "asymptotic"  # of the p-value; of two, the latter divides by 0
    for row in np.flatnonzero(_varies(first) & _varies(second)):
        found[row] = kendalltau(first[row], second[row], method=way)[0]
    return found.clip(-1, 1)


def cosine(a: Array, b: Array) -> FloatArray:
    """Return the cosine of the angle between rows, (n,), from -1 to 1; NaN where a row is 0.

    Parameters
    ----------
    a, b
        (n, K).
    """
    first, second = _scaled(_float64(a)), _scaled(_float64(b))
    products: FloatArray = (first * second).sum(1)
    return _divided(products, _lengths(first) * _lengths(second)).clip(-1, 1)


def euclidean(a: Array, b: Array) -> FloatArray:
    """Return the Euclidean distance of rows, (n,).

    Parameters
    ----------
    a, b
        (n, K).
    """
    return _lengths(_float64(a) - _float64(b))


def manhattan(a: Array, b: Array) -> FloatArray:
    """Return the sum of the absolute differences of rows, (n,).

    Parameters
    ----------
    a, b
        (n, K).
    """
    total: FloatArray = np.abs(_float64(a) - _float64(b)).sum(1)
    return total


def chebyshev(a: Array, b: Array) -> FloatArray:
    """Return the largest absolute difference of rows, (n,); 0 of empty ones.

    Parameters
    ----------
    a, b
        (n, K).
    """
    return np.asarray(np.abs(_float64(a) - _float64(b)).max(1, initial=0))


def mean_squared_error(a: Array, b: Array) -> FloatArray:
    """Return the mean squared difference of rows, (n,); NaN of empty ones.

    Parameters
    ----------
    a, b
        (n, K).
    """
    differences = _float64(a) - _float64(b)
    return _mean(differences * differences)


def mean_absolute_error(a: Array, b: Array) -> FloatArray:
    """Return the mean absolute difference of rows, (n,); NaN of empty ones.

    Parameters
    ----------
    a, b
        (n, K).
    """
    return _mean(np.abs(_float64(a) - _float64(b)))


#: The correlations by name.
CORRELATIONS: Mapping[Correlation, Callable[[Array, Array], FloatArray]] = {
    "pearson": pearson,
    "spearman": spearman,
    "kendall_tau": kendall_tau,
}


def correlation(name: Correlation, a: Array, b: Array, counts: Array | None = None) -> FloatArray:
    """Return a correlation of rows, (n,), by its name.

    Parameters
    ----------
    name
        A name of :data:`CORRELATIONS`.
    a, b
        (n, K).
    counts
        (n,): how many entries of each row count, from the front; None: all.
    """
    of = CORRELATIONS[name]
    if counts is None:
        return of(a, b)
    found = np.full(len(a), np.nan)
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        found[rows] = of(a[rows, :count], b[rows, :count])
    return found


def rank_rows(a: Array) -> FloatArray:
    """Return the rank of each entry in its row, (n, K), from 1; equal ones share their mean rank.

    Parameters
    ----------
    a
        (n, K).
    """
    from scipy.stats import rankdata

    return np.asarray(rankdata(_float64(a), axis=1), np.float64) if a.size else _float64(a)


def between_rows(
    a: Array, metric: Literal["euclidean", "seuclidean", "cityblock", "chebyshev"]
) -> FloatArray:
    """Return the distances between all pairs of rows, (n, n).

    Parameters
    ----------
    a
        (n, K).
    metric
        Which distance; ``"seuclidean"`` is the Euclidean one of columns that are divided by their standard
        deviations (of n - 1 degrees of freedom); columns that do not vary are left out.
    """
    from scipy.spatial.distance import cdist

    rows = _float64(a)
    if metric == "seuclidean":
        varying = np.ptp(rows, axis=0) > 0 if len(rows) > 1 else np.zeros(rows.shape[1], bool)
        rows = _scaled(rows[:, varying].T).T
        rows = rows / rows.std(0, ddof=1) if rows.size else np.zeros((len(rows), 1))
        metric = "euclidean"
    return np.asarray(cdist(rows, rows, metric), np.float64)


def _float64(a: Array) -> FloatArray:
    return np.asarray(a, np.float64)


def _varies(a: FloatArray) -> Array:
    """Return which rows hold two different numbers, and no NaN: bool (n,)."""
    if a.shape[1] < 2:
        return np.zeros(len(a), bool)
    return np.asarray((a.max(1) > a.min(1)) & ~np.isnan(a).any(1))


def _scaled(a: FloatArray) -> FloatArray:
    """Bring each row's largest magnitude to between 0.5 and 1, by a power of 2, so that squares exist."""
    _, exponents = np.frexp(np.abs(a).max(1, initial=0))
    return np.asarray(np.ldexp(a, -exponents[:, None]))


def _centred(a: Array) -> FloatArray:
    """Return rows less their means, scaled; 0 in rows that do not vary."""
    rows = _scaled(_float64(a))
    varies = _varies(rows)
    made = np.zeros_like(rows)
    if varies.any():
        made[varies] = _scaled(rows[varies] - rows[varies].mean(1, keepdims=True))
    return made


def _lengths(a: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt((a * a).sum(1)))


def _divided(a: FloatArray, by: FloatArray) -> FloatArray:
    """Divide; NaN where that is by 0."""
    return np.divide(a, by, out=np.full_like(a, np.nan), where=by > 0)


def _mean(a: FloatArray) -> FloatArray:
    return np.asarray(a.mean(1)) if a.shape[1] else np.full(len(a), np.nan)

"""Correlations and distances by rows."""

from __future__ import annotations

from itertools import combinations
from math import isnan, nan, sqrt

import numpy as np
import pytest

from onnxplain.metrics import similarity as s

A = np.array(
    [[1.0, 2.0, 2.0, 5.0, -1.0], [0.0, 1.0, 0.0, 1.0, 0.0], [3.0, 3.0, 3.0, 3.0, 3.0], [5, 4, 3, 2, 1]]
)
B = np.array(
    [[2.0, 4.0, 1.0, 1.0, -3.0], [1.0, 1.0, 0.0, 4.0, 0.0], [1.0, 2.0, 3.0, 4.0, 5.0], [1, 2, 3, 4, 5]]
)


def pearson(a: list[float], b: list[float]) -> float:
    n = len(a)
    over_a, over_b = sum(a) / n, sum(b) / n
    both = sum((x - over_a) * (y - over_b) for x, y in zip(a, b, strict=True))
    sides = sum((x - over_a) ** 2 for x in a) * sum((y - over_b) ** 2 for y in b)
    return both / sqrt(sides) if sides > 0 else nan


def ranks(a: list[float]) -> list[float]:
    return [sum(y < x for y in a) + (sum(y == x for y in a) + 1) / 2 for x in a]


def tau(a: list[float], b: list[float]) -> float:
    pairs = list(combinations(range(len(a)), 2))
    signs = [(np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i, j in pairs]
    sides = sum(abs(x) for x, _ in signs) * sum(abs(y) for _, y in signs)
    return float(sum(x * y for x, y in signs) / sqrt(sides)) if sides > 0 else nan


def test_correlations_are_their_formulas() -> None:
    rows = [(list(a), list(b)) for a, b in zip(A.tolist(), B.tolist(), strict=True)]
    np.testing.assert_allclose(s.pearson(A, B), [pearson(a, b) for a, b in rows], atol=1e-15)
    np.testing.assert_allclose(s.spearman(A, B), [pearson(ranks(a), ranks(b)) for a, b in rows], atol=1e-15)
    np.testing.assert_allclose(s.kendall_tau(A, B), [tau(a, b) for a, b in rows], atol=1e-15)
    np.testing.assert_array_equal(s.rank_rows(A), [ranks(a) for a, _ in rows])


@pytest.mark.parametrize("of", s.CORRELATIONS.values())
def test_extremes_of_correlations(of) -> None:
    a = np.random.default_rng(1).normal(size=(3, 40))
    np.testing.assert_allclose(of(a, 3 * a - 2), 1, atol=1e-12)
    np.testing.assert_allclose(of(a, -a), -1, atol=1e-12)
    assert np.isnan(of(a, np.full_like(a, 0.1))).all()  # 0.1's mean is not 0.1
    assert np.isnan(of(np.zeros_like(a), a)).all()
    assert np.isnan(of(a[:, :1], a[:, :1])).all()
    assert of(a[:0], a[:0]).shape == (0,)
    assert np.isnan(of(a[:, :0], a[:, :0])).all()
    np.testing.assert_allclose(of(a * 1e300, a * 1e-300), 1, atol=1e-12)
    spoilt = a.copy()
    spoilt[1, 3] = np.nan
    assert np.isnan(of(spoilt, a)).tolist() == [False, True, False]


def test_only_the_first_entries_of_rows_may_count() -> None:
    a = np.random.default_rng(2).normal(size=(3, 6))
    b = np.random.default_rng(3).normal(size=(3, 6))
    found = s.correlation("spearman", a, b, np.array([6, 3, 0]))
    assert found[0] == s.spearman(a, b)[0]
    assert found[1] == s.spearman(a[:, :3], b[:, :3])[1]
    assert isnan(found[2])
    np.testing.assert_array_equal(s.correlation("kendall_tau", a, b), s.kendall_tau(a, b))


def test_distances_are_their_formulas() -> None:
    d = A - B
    np.testing.assert_allclose(s.euclidean(A, B), np.sqrt((d**2).sum(1)))
    np.testing.assert_allclose(s.manhattan(A, B), np.abs(d).sum(1))
    np.testing.assert_allclose(s.chebyshev(A, B), np.abs(d).max(1))
    np.testing.assert_allclose(s.mean_squared_error(A, B), (d**2).mean(1))
    np.testing.assert_allclose(s.mean_absolute_error(A, B), np.abs(d).mean(1))
    sides = np.sqrt((A**2).sum(1) * (B**2).sum(1))
    np.testing.assert_allclose(s.cosine(A, B), (A * B).sum(1) / sides)
    assert isnan(s.cosine(np.zeros((1, 3)), np.ones((1, 3)))[0])
    np.testing.assert_allclose(s.cosine(1e200 * A, 1e-200 * B), s.cosine(A, B))
    nothing = np.zeros((2, 0))
    assert s.euclidean(nothing, nothing).tolist() == s.chebyshev(nothing, nothing).tolist() == [0, 0]
    assert np.isnan(s.mean_squared_error(nothing, nothing)).all()


def test_distances_between_rows() -> None:
    x = np.column_stack([A, np.full(4, 7.0)])
    spread = x[:, :5].std(0, ddof=1)
    for i in range(4):
        for j in range(4):
            d = x[i] - x[j]
            assert s.between_rows(x, "euclidean")[i, j] == pytest.approx(np.sqrt((d**2).sum()))
            assert s.between_rows(x, "cityblock")[i, j] == pytest.approx(np.abs(d).sum())
            assert s.between_rows(x, "chebyshev")[i, j] == pytest.approx(np.abs(d).max())
            expected = np.sqrt(((d[:5] / spread) ** 2).sum())
            assert s.between_rows(x, "seuclidean")[i, j] == pytest.approx(expected)
    assert s.between_rows(x[:1], "seuclidean").tolist() == [[0]]
    assert not s.between_rows(np.ones((3, 2)), "seuclidean").any()

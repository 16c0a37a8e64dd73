"""Metrics of complexity beside plain loops over the papers' formulas, and where the answer is known."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import MethodError

M = ox.metrics
KINDS = (M.Sparseness, M.Complexity, M.EffectiveComplexity)


@pytest.fixture(scope="module")
def conv(models) -> ox.Explainer:
    return ox.Explainer(models.conv())


def measured(metric: Any, explainer: ox.Explainer, values: Any) -> Any:
    return metric(explainer, np.zeros((len(values), 2, 8, 8), np.float32), 0, attributions=values)


def gini(a: list[float]) -> float:
    """Chalasani et al.: 1 - 2 sum_k v_(k) / ||v||_1 (d - k + 0.5) / d."""
    v, d = sorted(map(abs, a)), len(a)
    return 1 - 2 * sum(x / sum(v) * (d - k + 0.5) / d for k, x in enumerate(v, 1))


def entropy(a: list[float]) -> float:
    total = sum(map(abs, a))
    return -sum(abs(x) / total * math.log(abs(x) / total) for x in a if x)


def above(a: list[float], eps: float) -> int:
    return sum(abs(x) / max(map(abs, a)) > eps for x in a)


@pytest.mark.parametrize(
    ("metric", "replica"),
    [
        (M.Sparseness(), gini),
        (M.Sparseness(normalise=True), gini),
        (M.Complexity(), entropy),
        (M.EffectiveComplexity(), lambda a: above(a, 1e-5)),
        (M.EffectiveComplexity(0.3), lambda a: above(a, 0.3)),
        (M.EffectiveComplexity(0.3, normalise=False), lambda a: sum(abs(x) > 0.3 for x in a)),
        (M.EffectiveComplexity(0.3, normalise=False, absolute=False), lambda a: sum(x > 0.3 for x in a)),
    ],
)
@pytest.mark.parametrize("channels", ["each", "sum"])
def test_as_the_paper_has_it(metric, replica, channels, conv) -> None:
    values = np.random.default_rng(1).normal(size=(20, 2, 8, 8))
    values[values < -1] = 0
    values[3:6, 1] = 1e-7
    shown = values if channels == "each" else values.sum(1)
    expected = [replica(row) for row in shown.reshape(20, -1).tolist()]
    found = measured(replace(metric, channels=channels), conv, values)
    np.testing.assert_allclose(found.values, expected, rtol=1e-9, atol=1e-12)
    assert not found.notes


@pytest.mark.parametrize("scale", [2.0**-1070, 1.0, -3.0, 2.0**1000])
def test_extremes(scale, conv) -> None:
    one = np.zeros((1, 2, 8, 8))
    one[0, 1, 2, 3] = scale
    same = np.full((1, 2, 8, 8), scale)
    for count, channels in ((64, "sum"), (128, "each")):
        wanted = zip(KINDS, (1 - 1 / count, 0, 1), (0, math.log(count), count), strict=True)
        for kind, of_one, of_same in wanted:
            metric = kind(channels=channels)
            np.testing.assert_allclose(measured(metric, conv, one).values, of_one, atol=1e-12)
            np.testing.assert_allclose(measured(metric, conv, same).values, of_same, atol=1e-12)
    maps = scale * np.array([0.0] * 32 + [1.0] * 32).reshape(1, 8, 8)  # without channels, as CAM makes them
    np.testing.assert_allclose(measured(M.Complexity(), conv, maps).values, math.log(32))


def test_random_explanations(conv) -> None:
    """Exponential numbers have a Gini index of 1/2; their entropy is ln D - 1 + Euler's constant, nearly."""
    values = np.random.default_rng(2).exponential(size=(500, 1, 8, 8))
    assert measured(M.Sparseness(), conv, values).mean == pytest.approx(0.5, abs=0.01)
    assert measured(M.Complexity(), conv, values).mean == pytest.approx(
        math.log(64) - 1 + np.euler_gamma, abs=0.02
    )
    assert measured(M.EffectiveComplexity(1e-9), conv, values).mean == 64


def test_nothing_is_neither_sparse_nor_complex(conv) -> None:
    values = np.random.default_rng(2).normal(size=(4, 2, 8, 8))
    values[1] = 0
    for kind in (M.Sparseness, M.Complexity):
        found = measured(kind(), conv, values)
        assert np.isnan(found.values).tolist() == [False, True, False, False]
        assert found.notes == ("nothing is said of 1 of 4 samples (number 1): all attributions are 0",)
    assert measured(M.EffectiveComplexity(), conv, values).values.tolist() == [64, 0, 64, 64]


def test_signs_make_no_sense() -> None:
    for name in ("sparseness", "complexity"):
        with pytest.raises(MethodError, match=f"'{name}' looks at magnitudes.*leave absolute=True"):
            M.metric(name, absolute=False)
    with pytest.raises(MethodError, match="eps"):
        M.EffectiveComplexity(-1.0)

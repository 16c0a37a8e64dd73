"""How many features hold a score: beside plain loops, and where the answer is known."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import MethodError
from onnxplain.metrics import FeaturesNeeded


def needed(score, x, baseline, order, tolerance, step=1) -> int:
    """Bring features back one step after the other until the score is near enough."""
    fall = abs(score(baseline) - score(x))
    now = baseline.copy()
    for k in range(0, len(order) + step, step):
        if abs(score(now) - score(x)) <= tolerance * fall:
            return min(k, len(order))
        now[order[k : k + step]] = x[order[k : k + step]]
    raise AssertionError


@pytest.fixture(scope="module")
def mlp(models) -> ox.Explainer:
    return ox.Explainer(models.mlp())


@pytest.mark.parametrize(
    ("tolerance", "n_steps", "step"), [(0.1, 224, 1), (0.5, 224, 1), (0.3, 3, 2), (0.0, 5, 1)]
)
@pytest.mark.parametrize("absolute", [False, True])
def test_as_plain_loops_have_it(tolerance, n_steps, step, absolute, mlp, models) -> None:
    x, baseline = models.random(12, 5, seed=4), models.random(5, seed=9)
    attributions = np.random.default_rng(2).normal(size=(12, 5))
    keys = np.abs(attributions) if absolute else attributions
    metric = FeaturesNeeded(tolerance, n_steps, absolute=absolute)
    found = metric(mlp, x, 1, attributions=attributions, baselines=baseline)

    def score(row: np.ndarray) -> float:
        return float(mlp.predict(row[None])["y"][0, 1])

    expected = [
        needed(score, row, baseline, np.argsort(-key), tolerance, step)
        for row, key in zip(x, keys, strict=True)
    ]
    np.testing.assert_array_equal(found.values, expected)
    curve = found.curves["loss"]
    np.testing.assert_allclose(curve.values[:, 0], 1)
    np.testing.assert_allclose(curve.values[:, -1], 0, atol=1e-6)
    assert len(set(expected)) > 1 or tolerance == 0


def test_the_right_order_needs_the_fewest(models) -> None:
    """A sum of positive terms: no order of features needs fewer than that by their size."""
    weights = np.array([[4, 1, 3, 0.5, 2, 0]], np.float32)
    model = ox.Explainer(models.linear(weights))
    x = np.random.default_rng(1).uniform(0.2, 1, (1, 6)).astype(np.float32)
    terms = (weights * x)[0]
    orders = np.array(list(permutations(range(6))))
    tolerance = 0.25
    attributions = -np.argsort(orders, axis=1).astype(float)
    every = FeaturesNeeded(tolerance, absolute=False)(
        model, np.repeat(x, len(orders), 0), 0, attributions=attributions
    )
    by_hand = [
        next(k for k in range(7) if terms[o[k:]].sum() <= tolerance * terms.sum() * (1 + 1e-6))
        for o in orders
    ]
    np.testing.assert_array_equal(every.values, by_hand)
    best = FeaturesNeeded(tolerance)(model, x, 0, "input_x_gradient")
    assert best.values[0] == every.values.min() < every.values.mean() < every.values.max()


def test_pixels_of_images_are_features(models) -> None:
    weights = np.zeros((1, 2, 4, 4), np.float32)
    weights[:, :, 1, 1:3] = 1
    model = models.make(
        "m (float[N, 2, 4, 4] x) => (float[N, 1] y) { f = Flatten(x) y = Gemm<transB = 1>(f, w) }",
        w=weights.reshape(1, -1),
    )
    x = np.ones((2, 2, 4, 4), np.float32)
    explainer = ox.Explainer(model)
    assert FeaturesNeeded()(explainer, x, 0, "input_x_gradient").values.tolist() == [2, 2]
    single = FeaturesNeeded()(explainer, x, 0, "input_x_gradient", feature_mask="elements")
    assert single.values.tolist() == [4, 4]
    assert FeaturesNeeded(0.5)(explainer, x, 0, "input_x_gradient").values.tolist() == [1, 1]


def test_a_score_that_does_not_change(mlp, models) -> None:
    x = models.random(3, 5, seed=4)
    x[1] = 0
    found = FeaturesNeeded()(mlp, x, 0, "input_x_gradient")
    assert np.isnan(found.values).tolist() == [False, True, False]
    assert "the score is the same without any features" in found.notes[0]
    with pytest.raises(MethodError, match="tolerance"):
        FeaturesNeeded(2.0)

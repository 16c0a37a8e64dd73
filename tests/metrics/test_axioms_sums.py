"""Completeness and non-sensitivity, against the papers' formulas in plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import MethodError
from onnxplain.metrics import Completeness, NonSensitivity


def score(explainer: ox.Explainer, x: np.ndarray, target: int) -> float:
    return float(explainer.predict(x[None])["y"][0, target])


@pytest.fixture(scope="module")
def mlp(models) -> ox.Explainer:
    return ox.Explainer(models.mlp())


def test_completeness_is_its_formula(models, mlp) -> None:
    x, a = models.random(4, 5, seed=1), models.random(4, 5, seed=2)
    starts = models.random(5, seed=3)
    found = Completeness()(mlp, x, [0, 1, 2, 0], attributions=a, baselines=starts)
    kept = Completeness(to="score", relative=False)(mlp, x, [0, 1, 2, 0], attributions=a)
    for k, target in enumerate([0, 1, 2, 0]):
        asked = score(mlp, x[k], target) - score(mlp, starts, target)
        off = abs(float(a[k].astype(np.float64).sum()) - asked)
        assert found.values[k] == pytest.approx(off / abs(asked), rel=1e-4)
        own = abs(float(a[k].astype(np.float64).sum()) - score(mlp, x[k], target))
        assert kept.values[k] == pytest.approx(own, rel=1e-4)
    assert not found.extras["complete"].any()


def test_completeness_of_methods_that_promise_it(models, mlp) -> None:
    x = models.random(4, 5, seed=1)
    for method in ("integrated_gradients", "deep_lift", "exact_shapley"):
        found = Completeness(tolerance=0.03)(mlp, x, 1, method)
        assert found.extras["complete"].all(), method
    assert not Completeness()(mlp, x, 1, "saliency").extras["complete"].any()
    # shares of the score: conserved where there is no bias
    plain = ox.Explainer(models.mlp(bias=False))
    assert Completeness(to="score")(plain, x, 1, "lrp").values.max() < 1e-3
    # attributions divided by their largest sum to something else
    assert not Completeness(normalise=True)(mlp, x, 1, "exact_shapley").extras["complete"].any()


def test_completeness_of_a_linear_model(models) -> None:
    w, x = models.random(3, 6), models.random(2, 6, seed=1)
    linear = ox.Explainer(models.linear(w, bias=[1.0, 2.0, 3.0]))
    assert Completeness()(linear, x, 1, attributions=x * w[1]).values.max() < 1e-5
    assert (Completeness()(linear, x, 1, attributions=2 * x * w[1]).values - 1 < 1e-5).all()
    assert (Completeness()(linear, x, 1, attributions=0 * x).values - 1 < 1e-5).all()
    still = Completeness()(linear, 0 * x, 1, attributions=x)  # nothing differs: nothing should be given
    assert (still.values > 1e6).all()
    assert (Completeness()(linear, 0 * x, 1, attributions=0 * x).values == 0).all()


def test_completeness_by_groups_and_inputs(models) -> None:
    two = ox.Explainer(models.two_inputs())
    x = {"image": models.random(3, 2, 4), "table": models.random(3, 3, seed=1)}
    whole = Completeness()(two, x, 1, "exact_shapley", feature_mask="inputs")
    assert whole.extras["complete"].all()
    one = Completeness()(two, x, 1, "exact_shapley", wrt="table")  # the image stays
    assert one.extras["complete"].all()
    fixed = np.array([0, 1, -1])  # so does what nobody plays
    some = Completeness()(two, x, 1, "exact_shapley", wrt="table", feature_mask=fixed)
    assert some.extras["complete"].all()


def naive(explainer: ox.Explainer, x: Any, a: Any, target: int, eps: float) -> int:
    a = np.abs(a) / np.abs(a).max()
    count = 0
    for i in range(len(x)):
        without = x.copy()
        without[i] = 0
        unneeded = abs(score(explainer, x, target) - score(explainer, without, target)) < eps
        count += int(unneeded != (a[i] < eps))
    return count


def test_non_sensitivity_is_its_formula(models) -> None:
    w = models.random(3, 12)
    w[:, [1, 4, 7]] = 0
    linear = ox.Explainer(models.linear(w))
    x, a = models.random(5, 12, seed=1), models.random(5, 12, seed=2)
    a[:, [0, 4]] = 0
    found = NonSensitivity()(linear, x, 2, attributions=a)
    assert found.values.tolist() == [naive(linear, x[k], a[k], 2, 1e-5) for k in range(5)] == [3] * 5
    assert found.extras["overlooked"].tolist() == [1] * 5
    assert found.extras["unneeded"].tolist() == [2] * 5
    np.testing.assert_allclose(found.extras["share"], 3 / 12)
    for eps in (0.1, 0.5):
        found = NonSensitivity(eps=eps)(linear, x, 2, attributions=a)
        assert found.values.tolist() == [naive(linear, x[k], a[k], 2, eps) for k in range(5)]


def test_non_sensitivity_at_its_extremes(models) -> None:
    w = models.random(3, 12)
    w[:, [1, 4, 7]] = 0
    linear, x = ox.Explainer(models.linear(w)), models.random(5, 12, seed=1)
    assert not NonSensitivity()(linear, x, 2, attributions=x * w[2]).values.any()
    assert (NonSensitivity()(linear, x, 2, attributions=(w[2] == 0) + 0 * x).values == 12).all()
    assert (NonSensitivity()(linear, x, 2, attributions=1 + 0 * x).values == 3).all()
    assert (NonSensitivity()(linear, x, 2, attributions=0 * x).values == 9).all()


def test_non_sensitivity_in_steps_and_groups(models) -> None:
    w = models.random(3, 12)
    w[:, :5] = 0
    linear, x = ox.Explainer(models.linear(w)), models.random(5, 12, seed=1)
    a = x * w[2]
    assert not NonSensitivity(features_in_step=5)(linear, x, 2, attributions=a).values.any()
    a[:, 0] = 1  # one of its step, which is not needed
    assert (NonSensitivity(features_in_step=5)(linear, x, 2, attributions=a).values == 5).all()
    a[:, 5:] = 0  # ...and nothing where something is needed, two in the last step
    assert (NonSensitivity(features_in_step=5)(linear, x, 2, attributions=a).values == 12).all()
    mask = np.repeat([0, 1, -1], 4)
    grouped = NonSensitivity()(linear, x, 2, attributions=x * w[2], feature_mask=mask)
    assert not grouped.values.any()
    assert (NonSensitivity()(linear, x, 2, attributions=a, feature_mask=mask).values == 2).all()


def test_options_are_checked() -> None:
    with pytest.raises(MethodError, match="give 'difference' or 'score'"):
        Completeness(to="nothing")
    with pytest.raises(MethodError, match="eps is -1"):
        NonSensitivity(eps=-1)
    with pytest.raises(MethodError, match="features_in_step is 0"):
        NonSensitivity(features_in_step=0)

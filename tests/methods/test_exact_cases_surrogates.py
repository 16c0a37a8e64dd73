"""Surrogates of models whose answers are known, and their fits against formulas in the open."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Lasso, Ridge

import onnxplain as ox
from onnxplain.runtime.plans.surrogate import Halves, Uniform, fit

#: y = 2 a b + a - 3 c + max(d, 0): not additive.
MIXED = """m (float[N, 4] x) => (float[N, 1] y) {
  a, b, c, d = Split<axis = 1, num_outputs = 4>(x)
  p = Mul(a, b) p2 = Add(p, p) e = Add(p2, a) f = Mul(c, three) g = Sub(e, f) h = Relu(d) y = Add(g, h)
}"""


def mixed(x: np.ndarray) -> np.ndarray:
    return 2 * x[..., 0] * x[..., 1] + x[..., 0] - 3 * x[..., 2] + np.maximum(x[..., 3], 0)


@pytest.mark.parametrize("perturbation", ["half", "uniform"])
def test_linear_and_additive_games(perturbation, models) -> None:
    method = ox.Lime(n_samples=60, perturbation=perturbation, alpha=0.0)
    w, x, b = models.random(3, 6), models.random(2, 6, seed=1), models.random(6, seed=2)
    linear = ox.Explainer(models.linear(w))
    found = linear(x, 1, method, baselines=b)
    np.testing.assert_allclose(found.values, w[1] * (x - b), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.extras["r2"], 1, rtol=1e-5)
    np.testing.assert_allclose(
        found.extras["intercept"], linear.predict(b[None])["y"][0, 1] + 0 * x[:, 0], rtol=1e-3
    )
    groups = linear(x, 1, method, baselines=b, feature_mask=[0, 0, 1, 1, -1, 2])
    parts = w[1] * (x - b)
    joined = parts[:, [0, 0, 2, 2, 4, 5]] + parts[:, [1, 1, 3, 3, 4, 5]] * [1, 1, 1, 1, 0, 0]
    joined[:, 4] = 0
    np.testing.assert_allclose(groups.values, joined, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["ridge", "lasso"])
@pytest.mark.parametrize("perturbation", ["half", "uniform"])
def test_the_fit_is_the_formula(kind, perturbation, models) -> None:
    model, x = models.make(MIXED, three=3.0), models.random(2, 4, seed=3)
    made = ox.Lime(80, perturbation, kernel_width=0.4, regression=kind, alpha=0.05, seed=7)
    found = ox.explain(model, x, method=made)
    draw = (Halves if perturbation == "half" else Uniform)(80, 7)
    z = np.concatenate([np.ones((1, 4)), draw.kept(4, slice(0, 80))])
    near = np.exp(-((1 - np.sqrt(z.sum(1) / 4)) ** 2) / (2 * 0.4**2))
    for row in range(2):
        plain = (Ridge if kind == "ridge" else Lasso)(alpha=0.05).fit(
            z, mixed(z * x[row]), sample_weight=near
        )
        np.testing.assert_allclose(found.values[row], plain.coef_, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.extras["intercept"][row], plain.intercept_, rtol=1e-4, atol=1e-5)
        r2 = plain.score(z, mixed(z * x[row]), sample_weight=near)
        np.testing.assert_allclose(found.extras["r2"][row], r2, rtol=1e-4)
    assert ("standard_error" in found.extras) == (kind == "ridge")


def test_draws_are_what_they_say() -> None:
    half, uniform = Halves(40_000, 1).kept(6, slice(0, 40_000)), Uniform(40_000, 1).kept(6, slice(0, 40_000))
    assert np.abs(half.mean(0) - 0.5).max() < 0.02
    assert np.abs(np.corrcoef(half.T) - np.eye(6)).max() < 0.02
    sizes = np.bincount(uniform.sum(1), minlength=7) / 40_000
    np.testing.assert_allclose(sizes, [*[1 / 6] * 6, 0], atol=0.01)
    assert np.abs(uniform.mean(0) - 2.5 / 6).max() < 0.02
    for draw, all_of_them in ((Halves(40_000, 1), half), (Uniform(40_000, 1), uniform)):
        np.testing.assert_array_equal(draw.kept(6, slice(77, 99)), all_of_them[77:99])


def test_the_standard_error_is_right(models) -> None:
    """It covers what infinitely many samples would give, for 95 % of seeds."""
    x = models.random(1, 4, seed=3)
    explainer = ox.Explainer(models.make(MIXED, three=3.0))
    z = np.array(list(np.ndindex(2, 2, 2, 2)), float)
    near = np.exp(-((1 - np.sqrt(z.sum(1) / 4)) ** 2) / (2 * 0.25**2))
    truth = Ridge(alpha=0.0).fit(z, mixed(z * x), sample_weight=near).coef_
    inside = []
    for seed in range(200):
        found = explainer(x, method=ox.Lime(150, alpha=0.0, seed=seed))
        inside.append(np.abs(found.values - truth) <= 1.96 * found.extras["standard_error"]["x"])
    assert 0.90 <= np.mean(inside) <= 0.98


def test_only_the_largest(models) -> None:
    w, x = models.random(3, 6), models.random(2, 6, seed=1)
    found = ox.explain(models.linear(w), x, 1, ox.Lime(200, alpha=0.0, num_features=2))
    parts = np.abs(w[1] * x)
    for row in range(2):
        assert np.flatnonzero(found.values[row]).tolist() == sorted(np.argsort(-parts[row])[:2])


def test_tables_in_bins(models) -> None:
    """A step at a quartile is a difference between bins; other columns get nothing."""
    model = models.make(
        """m (float[N, 3] x) => (float[N, 1] y) {
          a, b, c = Split<axis = 1, num_outputs = 3>(x) s = Greater(a, two) t = Cast<to = 1>(s)
          u = Mul(t, five) y = Identity(u)
        }""",
        two=2.0, five=5.0,
    )  # fmt: skip
    rows = np.stack([np.arange(4.0), np.arange(4.0)[::-1], np.ones(4)], 1).astype(np.float32)
    x = np.array([[3.0, 0.0, 1.0], [0.0, 3.0, 1.0]], np.float32)
    found = ox.explain(model, x, method=ox.Lime(2000, "quartile", alpha=0.0), baselines=rows)
    np.testing.assert_allclose(found.values[0], [5, 0, 0], atol=1e-4)
    below = np.average([0, 0, 5], weights=[1, 1, 1])  # the other three quarters of the column
    np.testing.assert_allclose(found.values[1, 0], -below, atol=0.2)
    np.testing.assert_allclose(found.extras["above"]["x"][:, 0], [2.25, -np.inf])
    np.testing.assert_allclose(found.extras["at_most"]["x"][:, 0], [np.inf, 0.75])


def test_tables_in_standard_deviations(models) -> None:
    w, x = models.random(3, 6), models.random(2, 6, seed=1)
    rows = models.random(50, 6, seed=2) * np.arange(1, 7, dtype=np.float32)
    found = ox.explain(models.linear(w), x, 1, ox.Lime(300, "gaussian", alpha=0.0), baselines=rows)
    np.testing.assert_allclose(found.values, np.tile(w[1] * rows.std(0), (2, 1)), rtol=1e-3)


def test_tables_want_rows(models) -> None:
    x = models.random(2, 6)
    explainer = ox.Explainer(models.linear(models.random(3, 6)))
    with pytest.raises(ox.errors.MethodError, match=r"background of 2 rows.*baselines="):
        explainer(x, 1, ox.Lime(perturbation="quartile"))
    with pytest.raises(ox.errors.DataInputError, match=r"'decile' draws columns.*no feature_mask"):
        explainer(x, 1, ox.Lime(perturbation="decile"), baselines=x, feature_mask=[0, 0, 1, 1, 2, 2])
    wide = models.make(
        "m (float[N, 300000] x) => (float[N, 1] y) { a = Constant<value_ints = [1]>() y = ReduceSum(x, a) }"
    )
    with pytest.raises(ox.errors.MethodError, match=r"300000 players.*feature_mask"):
        ox.explain(wide, np.ones((1, 300_000), np.float32), method="lime")


@pytest.mark.parametrize("perturbation", ["half", "gaussian"])
def test_log_odds(perturbation, models) -> None:
    """A logistic model is linear in them."""
    w, x = models.random(4, 1), models.random(2, 4, seed=1)
    model = models.make("m (float[N, 4] x) => (float[N, 1] y) { a = MatMul(x, w) y = Sigmoid(a) }", w=w)
    rows = models.random(30, 4, seed=2)
    found = ox.explain(
        model, x, method=ox.Lime(60, perturbation, alpha=0.0, link="logit"),
        baselines=rows if perturbation == "gaussian" else None,
    )  # fmt: skip
    expected = np.tile(w[:, 0] * rows.std(0), (2, 1)) if perturbation == "gaussian" else w[:, 0] * x
    np.testing.assert_allclose(found.values, expected, rtol=1e-2, atol=1e-4)
    with pytest.raises(ox.errors.OnnxplainError, match="logit"):
        ox.explain(models.linear(w.T), 9 * x, 0, ox.Lime(60, alpha=0.0, link="logit"))


@pytest.mark.parametrize(("samples", "players"), [(60, 6), (12, 30)])
@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_standard_errors_of_ridges_by_their_definition(samples, players, alpha) -> None:
    """More players than samples, too, and players that always leave together."""
    random = np.random.default_rng(0)
    variables = (random.random((samples, players)) > 0.5).astype(float)
    variables[:, -1] = variables[:, -2]
    scores, weights = random.normal(size=(samples, 2)), random.random(samples)
    made = fit(variables, scores, weights, alpha=alpha)
    centred = variables - np.average(variables, axis=0, weights=weights)
    gram = centred.T @ (weights[:, None] * centred)
    hat = np.linalg.pinv(gram + alpha * np.eye(players), rcond=1e-10) @ centred.T * weights
    free = samples - 1 - np.trace(hat @ centred)
    left = scores - variables @ made.slopes.T - made.intercept
    if free < 1e-6:
        assert not np.nan_to_num(made.errors, nan=0.0).max() > 1e3
        return
    expected = np.sqrt(hat**2 @ left**2 * samples / free).T
    np.testing.assert_allclose(made.errors, expected, rtol=1e-5, atol=1e-9)

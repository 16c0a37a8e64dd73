"""Metrics that compare attributions with what the score does: formulas, extremes, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError, OptionError
from onnxplain.kernels.uniform import uniforms
from onnxplain.metrics import (
    FaithfulnessCorrelation,
    FaithfulnessEstimate,
    MonotonicityCorrelation,
    SensitivityN,
    metric,
)

CORRELATIONS = {"pearson": stats.pearsonr, "spearman": stats.spearmanr, "kendall_tau": stats.kendalltau}
every_correlation = pytest.mark.parametrize("similarity", list(CORRELATIONS))

#: Of 40 features.
W = np.random.default_rng(5).normal(size=(2, 40)).astype(np.float32)
REMOVING = [
    FaithfulnessCorrelation(n_runs=30, subset_size=9),
    FaithfulnessEstimate(),
    FaithfulnessEstimate(features_in_step=3),
    SensitivityN(n_sizes=5, n_subsets=20),
]


@pytest.fixture(scope="module")
def mlp(models) -> ox.Explainer:
    return ox.Explainer(models.mlp())


@pytest.fixture(scope="module")
def linear(models) -> ox.Explainer:
    return ox.Explainer(models.linear(W, [0.3, -2.0]))


@pytest.fixture(scope="module")
def rows(models) -> np.ndarray:
    return models.random(3, 40, seed=8)


def score(explainer: ox.Explainer, x: Any, target: int) -> float:
    return float(explainer.predict(np.asarray(x, np.float32)[None])["y"][0, target])


def without(x: np.ndarray, gone: list[int], baseline: float) -> np.ndarray:
    left = x.copy()
    for i in gone:
        left[i] = baseline
    return left


def subset(seed: int, step: int, count: int, size: int) -> list[int]:
    """The players of the smallest numbers that this step draws."""
    drawn = uniforms(seed, step, 0, 1, count)[0].tolist()
    return sorted(range(count), key=drawn.__getitem__)[:size]


@every_correlation
def test_faithfulness_correlation_is_its_formula(similarity, mlp, models) -> None:
    x, a = models.random(3, 5, seed=1), models.random(3, 5, seed=2).astype(np.float64)
    made = FaithfulnessCorrelation(n_runs=12, subset_size=2, similarity=similarity, seed=3)
    found = made(mlp, x, [0, 1, 2], attributions=a, baselines=0.25)
    for n in range(3):
        sums, changes = [], []
        for k in range(12):
            gone = subset(3, k, 5, 2)
            sums.append(sum(a[n, i] for i in gone))
            changes.append(score(mlp, x[n], n) - score(mlp, without(x[n], gone, 0.25), n))
        assert found.values[n] == pytest.approx(CORRELATIONS[similarity](sums, changes)[0], abs=1e-5)


@every_correlation
@pytest.mark.parametrize("at_once", [1, 2])
def test_faithfulness_estimate_is_its_formula(similarity, at_once, mlp, models) -> None:
    x, a = models.random(3, 5, seed=1), models.random(3, 5, seed=2).astype(np.float64)
    made = FaithfulnessEstimate(at_once, similarity)
    found = made(mlp, x, [0, 1, 2], attributions=a, baselines=0.25)
    for n in range(3):
        order = sorted(range(5), key=lambda i: -a[n, i])
        groups = [order[k : k + at_once] for k in range(0, 5, at_once)]
        sums = [sum(a[n, i] for i in group) for group in groups]
        lost = [score(mlp, x[n], n) - score(mlp, without(x[n], g, 0.25), n) for g in groups]
        assert found.values[n] == pytest.approx(CORRELATIONS[similarity](sums, lost)[0], abs=1e-5)


@every_correlation
@pytest.mark.parametrize(("at_once", "shared"), [(1, False), (2, False), (2, True)])
def test_monotonicity_correlation_is_its_formula(similarity, at_once, shared, mlp, models) -> None:
    x, a = models.random(3, 5, seed=1), models.random(3, 5, seed=2).astype(np.float64)
    made = MonotonicityCorrelation(6, at_once, -1.0, 3.0, shared, similarity, seed=4)
    found = made(mlp, x, [0, 1, 2], attributions=a)
    draws = [4 * uniforms(4, 0, k, 1, 1 if shared else 5)[0] - 1 for k in range(6)]
    for n in range(3):
        order = sorted(range(5), key=lambda i: abs(a[n, i]))
        sums, spreads = [], []
        for k in range(0, 5, at_once):
            group = order[k : k + at_once]
            squares = []
            for drawn in draws:
                moved = x[n].copy()
                for i in group:
                    moved[i] = drawn[0 if shared else i]
                squares.append((score(mlp, moved, n) - score(mlp, x[n], n)) ** 2)
            sums.append(sum(abs(a[n, i]) for i in group))
            spreads.append(np.mean(squares))
        assert found.values[n] == pytest.approx(CORRELATIONS[similarity](sums, spreads)[0], abs=1e-5)


@every_correlation
def test_sensitivity_n_is_its_formula(similarity, mlp, models) -> None:
    x, a = models.random(2, 5, seed=1), models.random(2, 5, seed=2).astype(np.float64)
    made = SensitivityN(3, 8, 0.8, similarity, seed=5)
    found = made(mlp, x, [0, 1], attributions=a, baselines=0.25)
    curve = found.curves["sensitivity_n"]
    np.testing.assert_allclose(curve.at, np.broadcast_to([0.2, 0.4, 0.8], (2, 3)))
    for n in range(2):
        by_size = []
        for j, size in enumerate([1, 2, 4]):
            chosen = [subset(5, 8 * j + k, 5, size) for k in range(8)]
            sums = [sum(a[n, i] for i in gone) for gone in chosen]
            changes = [score(mlp, x[n], n) - score(mlp, without(x[n], g, 0.25), n) for g in chosen]
            by_size.append(CORRELATIONS[similarity](sums, changes)[0])
        np.testing.assert_allclose(curve.values[n], by_size, atol=1e-5)
        assert found.values[n] == pytest.approx(np.mean(by_size), abs=1e-5)


@pytest.mark.parametrize("made", REMOVING, ids=repr)
def test_linear_models_are_explained_by_what_each_feature_adds(made, linear, rows) -> None:
    adds = W[1] * (rows - 0.5)
    told = made(linear, rows, 1, attributions=adds, baselines=0.5)
    np.testing.assert_allclose(told.values, 1, atol=1e-5)
    np.testing.assert_allclose(made(linear, rows, 1, attributions=-adds, baselines=0.5).values, -1, atol=1e-5)
    by_method = made(linear, rows, 1, "integrated_gradients")
    np.testing.assert_allclose(by_method.values, 1, atol=1e-5)
    assert not told.notes


@pytest.mark.parametrize("made", [*REMOVING, MonotonicityCorrelation(3)], ids=repr)
def test_random_attributions_are_not_correlated(made, linear) -> None:
    generator = np.random.default_rng(1)
    x = generator.normal(size=(60, 40)).astype(np.float32)
    found = made(linear, x, 1, attributions=generator.normal(size=x.shape))
    assert abs(found.mean) < 0.12
    low, high = found.interval(0.999)
    assert low < 0 < high


@pytest.mark.parametrize(
    "made", [REMOVING[0], REMOVING[1], REMOVING[3], MonotonicityCorrelation(2)], ids=repr
)
def test_nothing_is_said_of_constant_attributions_or_scores(made, linear, models, rows) -> None:
    constant = np.full(rows.shape, 0.1)
    constant[1, 7] = 0.3
    found = made(linear, rows, 1, attributions=constant)
    assert np.isnan(found.values).tolist() == [True, False, True]
    assert "2 of 3 samples (numbers 0, 2)" in found.notes[0]
    deaf = ox.Explainer(models.linear(np.zeros((1, 40)), [3.0]))
    found = made(deaf, rows, 0, attributions=rows)
    assert np.isnan(found.values).all()
    assert "changes of its score are all the same" in found.notes[0]


@pytest.mark.parametrize("made", [*REMOVING, MonotonicityCorrelation(2)], ids=repr)
def test_changes_within_rounding_are_none(made, models, rows) -> None:
    tiny = ox.Explainer(models.linear(W[:1] * 3e-7, [10.0]))
    scores = tiny.predict(np.concatenate([rows, 0 * rows]))["y"]
    assert len(np.unique(scores)) > 1
    found = made(tiny, rows, 0, attributions=rows)
    assert np.isnan(found.values).all()
    assert found.notes


def test_sizes_of_which_nothing_is_said_are_left_out(models) -> None:
    model = ox.Explainer(models.linear(np.ones((1, 3))))
    found = SensitivityN(2, 5, 1.0)(model, np.array([[1.0, 2.0, 4.0]], np.float32), 0, "input_x_gradient")
    values = found.curves["sensitivity_n"].values[0]
    assert values[0] == pytest.approx(1)
    assert np.isnan(values[1])  # there is one subset of all
    assert found.values[0] == values[0]


def test_monotonicity_of_a_linear_model(linear) -> None:
    middle = np.full((1, 40), 0.5, np.float32)
    found = MonotonicityCorrelation(5, shared=True)(linear, middle, 1, attributions=W[1:2])
    np.testing.assert_allclose(found.values, 1, atol=1e-3)  # the spread is w^2 times what was drawn
    worst = MonotonicityCorrelation(5, shared=True)(linear, middle, 1, attributions=1 / W[1:2])
    np.testing.assert_allclose(worst.values, -1, atol=1e-3)
    plain = MonotonicityCorrelation(5, shared=True, absolute=False)(linear, middle, 1, attributions=W[1:2])
    assert plain.values[0] < 0.5


@pytest.mark.parametrize(
    "made",
    [
        FaithfulnessCorrelation(n_runs=10),
        FaithfulnessCorrelation(n_runs=10, subset_size=2),
        FaithfulnessEstimate(2),
        SensitivityN(3, 6),
        MonotonicityCorrelation(3),
    ],
    ids=repr,
)
def test_players_of_its_own_and_no_company_change_a_sample(made, models) -> None:
    model = ox.Explainer(models.conv())
    x = models.random(2, 2, 8, 8, seed=1)
    places = np.arange(8)
    coarse = np.broadcast_to(places[:, None] // 2 * 2, (8, 8))  # 0, 2, 4, 6
    fine = (places[:, None] // 2) * 4 + places // 2
    masks = np.stack([coarse, fine])[:, None]
    together = made(model, x, [0, 1], "input_x_gradient", feature_mask=masks).values
    assert np.isfinite(together).all()
    for n in range(2):
        alone = made(model, x[n : n + 1], n, "input_x_gradient", feature_mask=masks[n : n + 1]).values
        np.testing.assert_allclose(alone[0], together[n], atol=1e-4)


@pytest.mark.parametrize("made", [*REMOVING, MonotonicityCorrelation(3)], ids=repr)
def test_several_inputs_and_the_size_of_blocks(made, models) -> None:
    model = ox.Explainer(models.two_inputs())
    x = {"image": models.random(3, 2, 4, seed=1), "table": models.random(3, 3, seed=2)}
    found = made(model, x, 1, "input_x_gradient").values
    small = made(model, x, 1, "input_x_gradient", internal_batch_size=2).values
    np.testing.assert_allclose(small, found, atol=1e-4)
    assert np.isfinite(found).all()


def test_what_cannot_be_measured_is_refused(linear, models, rows) -> None:
    with pytest.raises(MethodError, match="subset_size is 40, and a sample has 40 features"):
        FaithfulnessCorrelation(subset_size=40)(linear, rows, 1, attributions=rows)
    with pytest.raises(MethodError, match="low below high"):
        MonotonicityCorrelation(low=1.0, high=1.0)
    with pytest.raises(OptionError, match="'spearman'"):
        FaithfulnessEstimate(similarity="cosine")
    with pytest.raises(MethodError, match="no use for baselines"):
        MonotonicityCorrelation()(linear, rows, 1, attributions=rows, baselines=0.0)
    ids = {"ids": np.array([[1, 2, 3, 4, 5, 6]]), "mask": np.ones((1, 6), np.int64)}
    with pytest.raises(DataInputError, match="'ids' holds int64"):
        MonotonicityCorrelation()(ox.Explainer(models.tokens()), ids, 0, "input_x_gradient")


@pytest.mark.parametrize("name", ["faithfulness_correlation", "faithfulness_estimate", "sensitivity_n"])
def test_one_feature_is_too_few(name, models) -> None:
    model = ox.Explainer(models.linear([[2.0]]))
    made = metric(name)
    found = made(model, np.ones((2, 1), np.float32), 0, "input_x_gradient")
    assert np.isnan(found.values).all()
    assert "fewer than two" in found.notes[0]

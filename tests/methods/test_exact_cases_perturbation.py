"""Perturbations whose answers are known, or written out naively beside."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from word_models import texts

import onnxplain as ox
from onnxplain.kernels.uniform import uniforms
from onnxplain.runtime.plans.swapped import Swapped


def check(found, expected, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def multilayer(models) -> ox.Explainer:
    return ox.Explainer(
        models.make(
            """m (float[N, 3] x) => (float[N, 2] y) {
              a = Gemm<transB = 1>(x, w, b)
              h = Relu(a)
              y = Gemm<transB = 1>(h, v, c)
            }""",
            w=np.ones((4, 3), np.float32), b=[-10.0, 1, 1, 1], v=np.ones((2, 4), np.float32), c=[-1.0, 1],
        )
    )  # fmt: skip


X = np.array([[20.0, 50.0, 30.0]], np.float32)


def test_feature_ablation_of_the_multilayer_case(multilayer) -> None:
    check(multilayer(X, 0, "feature_ablation").values, [[80, 200, 120]])
    found = multilayer(X, 0, "feature_ablation", feature_mask=np.array([0, 0, 1]))
    check(found.values, [[280, 280, 120]])


def test_occlusion_of_the_multilayer_case(multilayer) -> None:
    """The second window is cut off at the end."""
    check(multilayer(X, 0, ox.Occlusion((2,), (2,))).values, [[280, 280, 120]])
    check(multilayer(X, 0, ox.Occlusion(2, 2)).values, [[280, 280, 120]])
    check(multilayer(X, 0, ox.Occlusion(2)).values, [[280, 300, 320]])
    check(multilayer(X, 0, ox.Occlusion(3, 7)).values, [[390, 390, 390]])


@pytest.mark.parametrize(
    ("window", "strides"), [((2, 3, 3), (1, 2, 3)), ((1, 4, 2), 1), ((2, 8, 1), (5, 9, 1)), (3, 2), (3, None)]
)
def test_overlapping_windows_are_averaged(window, strides, models) -> None:
    """Beside loops over every window; whatever fits into memory."""
    explainer, x = ox.Explainer(models.conv()), models.random(3, 2, 8, 8, seed=4)
    found = explainer(x, 1, ox.Occlusion(window, strides), baselines=0.25, internal_batch_size=7)
    shape = (2, window, window) if isinstance(window, int) else window
    steps = strides if isinstance(strides, tuple) else (strides or 1,) * 3
    places = [
        range(0, length - w + s, s) if w < length else (0,)
        for length, w, s in zip(x.shape[1:], shape, steps, strict=True)
    ]
    total, times = np.zeros(x.shape), np.zeros(x.shape)
    for start in itertools.product(*places):
        hidden = (slice(None), *(slice(a, a + w) for a, w in zip(start, shape, strict=True)))
        without = x.copy()
        without[hidden] = 0.25
        lost = found.score - explainer(without, 1, ox.Saliency()).score
        total[hidden] += lost.reshape(3, 1, 1, 1)
        times[hidden] += 1
    np.testing.assert_allclose(found.values, total / times, atol=1e-5 * np.abs(total).max())


def test_occlusion_of_several_inputs(models) -> None:
    explainer = ox.Explainer(models.two_inputs())
    x = {"image": models.random(3, 2, 4), "table": models.random(3, 3, seed=1)}
    found = explainer(x, 1, ox.Occlusion(((1, 2), (3,)), ((1, 2), (1,))), internal_batch_size=5)
    assert np.ptp(found.values["table"], axis=1).max() == 0
    for k, c in itertools.product((0, 1), (0, 2)):
        without = x["image"].copy()
        without[:, k, c : c + 2] = 0
        lost = found.score - explainer({**x, "image": without}, 1, "saliency").score
        for column in (c, c + 1):
            check(found.values["image"][:, k, column], lost)


@pytest.mark.parametrize(
    ("window", "strides", "words"),
    [
        ((2, 9, 3), 1, r"window of 'x' is 9 long along axis 1.*has 8: it is larger than the input"),
        (
            (3, 2),
            1,
            r"sliding_window_shapes of 'x' is \(3, 2\), and a sample .* shape \(2, 8, 8\)",
        ),
        ((2, 2, 2), (1, 1), r"strides of 'x' is \(1, 1\)"),
        ((2, 2, 2), (1, 3, 1), r"2 long along axis 1.*moves by 3 and misses elements"),
        (9, None, r"larger than the input"),
        (((2, 2, 2), (2, 2, 2)), None, r"windows for 2 inputs, and 1 are explained \('x'"),
    ],
)
def test_windows_that_do_not_fit(window, strides, words, models, monkeypatch) -> None:
    explainer, x = ox.Explainer(models.conv()), models.random(2, 2, 8, 8)
    monkeypatch.setattr("onnxplain.runtime.driver.Driver.ask", lambda *_, **__: pytest.fail("ran"))
    with pytest.raises(ox.errors.DataInputError, match=words):
        explainer(x, 1, ox.Occlusion(window, strides))


def permuted(seed: int, step: int, n: int) -> np.ndarray:
    """Which row gives to each, as drawn for one step."""
    return Swapped(1, seed, {"x": np.zeros((n, 1))}, within=True).rows(slice(step, step + 1))[0]


@pytest.mark.parametrize("mask", [None, [0, 0, 1, -1, 2]])
@pytest.mark.parametrize("size", [None, 3])
def test_feature_permutation_beside_loops(mask, size, models) -> None:
    explainer, x = ox.Explainer(models.mlp()), models.random(7, 5, seed=2)
    given = None if mask is None else np.array(mask)
    found = explainer(x, 1, ox.FeaturePermutation(3, seed=6), feature_mask=given, internal_batch_size=size)
    players = np.arange(5) if mask is None else np.array(mask)
    expected = np.zeros((7, 5))
    for player in range(players.max() + 1):
        lost = []
        for k in range(3):
            without = x.copy()
            rows = permuted(6, 3 * player + k, 7)
            assert sorted(rows) == list(range(7))
            without[:, players == player] = x[rows][:, players == player]
            lost.append(found.score - explainer(without, 1, "saliency").score)
        expected[:, players == player] = np.mean(lost, 0)[:, None]
        error = found.extras["standard_error"]["x"][:, players == player]
        np.testing.assert_allclose(error[:, 0], np.std(lost, 0, ddof=1) / 3**0.5, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.values, expected, rtol=1e-4, atol=1e-5)


def test_two_samples_swap(models) -> None:
    """A permutation is never the identity, so of two samples each has the other's values."""
    w, x = models.random(3, 6), models.random(2, 6, seed=1)
    for seed in range(5):
        found = ox.explain(models.linear(w), x, 1, method=ox.FeaturePermutation(1, seed))
        check(found.values, w[1] * (x - x[::-1]))
        assert "standard_error" not in found.extras


def test_values_are_drawn_from_rows(models) -> None:
    w, x, rows = models.random(3, 6), models.random(3, 6, seed=1), models.random(40, 6, seed=2)
    explainer = ox.Explainer(models.linear(w))
    found = explainer(x, 1, ox.FeaturePermutation(4000), baselines=rows)
    error = found.extras["standard_error"]["x"]
    assert (np.abs(found.values - w[1] * (x - rows.mean(0))) < 5 * error).all()
    alone = explainer(x[1:2], 1, ox.FeaturePermutation(4000), baselines=rows, internal_batch_size=33)
    np.testing.assert_allclose(alone.values[0], found.values[1], rtol=1e-4, atol=1e-5)


def test_there_must_be_something_to_swap(models, monkeypatch) -> None:
    explainer, x = ox.Explainer(models.mlp()), models.random(3, 5)
    monkeypatch.setattr("onnxplain.runtime.driver.Driver.ask", lambda *_, **__: pytest.fail("ran"))
    with pytest.raises(ox.errors.DataInputError, match=r"at least two samples.*ox.Background"):
        explainer(x[:1], 1, "feature_permutation")
    with pytest.raises(ox.errors.DataInputError, match=r"one row to draw from.*at least two rows"):
        explainer(x, 1, "feature_permutation", baselines=0.5)


def test_permutation_of_any_type(models) -> None:
    words = np.array([["red", "blue"], ["green", "unknown"]])
    found = ox.explain(texts(), words, method=ox.FeaturePermutation(1))
    check(found.values, [[-1, 40], [1, -40]])
    image = {"image": models.random(3, 2, 4), "table": models.random(3, 3, seed=1)}
    found = ox.explain(models.two_inputs(), image, 1, method=ox.FeaturePermutation(), feature_mask="inputs")
    assert {k: v.shape for k, v in found.values.items()} == {"image": (3, 2, 4), "table": (3, 3)}


def test_prediction_difference_beside_loops(models) -> None:
    """Marginal draws: rows of the background, window by window; overlapping windows are averaged."""
    explainer, x = ox.Explainer(models.conv()), models.random(2, 2, 8, 8, seed=4)
    rows = models.random(5, 2, 8, 8, seed=5)
    method = ox.PredictionDifference((2, 5, 5), 3, 3, seed=7)
    found = explainer(x, 1, method, baselines=rows, internal_batch_size=7)
    drawn = (uniforms(7, 0, 0, 12, 1)[:, 0] * 5).astype(int)
    total, square, times = (np.zeros(x.shape) for _ in range(3))
    for w, (b, a) in enumerate(itertools.product((0, 3), (0, 3))):
        hidden = (slice(None), slice(None), slice(b, b + 5), slice(a, a + 5))
        lost = []
        for k in range(3):
            without = x.copy()
            without[hidden] = rows[drawn[3 * w + k]][hidden[1:]]
            lost.append(found.score - explainer(without, 1, ox.Saliency()).score)
        total[hidden] += np.mean(lost, 0).reshape(2, 1, 1, 1)
        square[hidden] += (np.var(lost, 0, ddof=1) / 3).reshape(2, 1, 1, 1)
        times[hidden] += 1
    np.testing.assert_allclose(found.values, total / times, atol=1e-5 * np.abs(total).max())
    error = found.extras["standard_error"]["x"]
    np.testing.assert_allclose(error, square**0.5 / times, atol=1e-4 * error.max())


def test_without_a_background_it_is_occlusion(models) -> None:
    explainer, x = ox.Explainer(models.conv()), models.random(2, 2, 8, 8, seed=4)
    one = explainer(x, 1, ox.PredictionDifference((2, 3, 3), 2, 2), baselines=0.25).values
    other = explainer(x, 1, ox.Occlusion((2, 3, 3), 2), baselines=0.25).values
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_weight_of_evidence(models) -> None:
    """log2 of the odds, of probabilities alone."""
    explainer, x = ox.Explainer(models.mlp(softmax=True)), models.random(3, 5)
    method = ox.PredictionDifference(1, n_samples=1, evidence="log_odds")
    found = explainer(x, 1, method, through_softmax=True)
    for k in range(5):
        without = x.copy()
        without[:, k] = 0
        p, q = (explainer.predict(v)["y"][:, 1].astype(float) for v in (x, without))
        np.testing.assert_allclose(found.values[:, k], np.log2(p / (1 - p)) - np.log2(q / (1 - q)), rtol=1e-3)
    assert np.isnan(found.extras["standard_error"]["x"]).all()
    with pytest.raises(ox.errors.MethodError, match=r"is no probability.*through_softmax"):
        explainer(x, 1, method)


@pytest.mark.parametrize("shrinkage", [0.0, 0.3])
def test_conditional_draws_of_a_table(shrinkage, models) -> None:
    """On a linear score: w_i (x_i - E[x_i | the others]), from the rows' mean and covariance."""
    w, x = models.random(3, 4), models.random(2, 4, seed=1)
    rows = models.random(500, 4, seed=2) @ models.random(4, 4, seed=3)
    method = ox.PredictionDifference(1, n_samples=3000, sampler="conditional", padding=None,
                                     shrinkage=shrinkage)  # fmt: skip
    found = ox.explain(models.linear(w), x, 1, method=method, baselines=rows)
    covariance = np.cov(rows, rowvar=False)
    covariance = (1 - shrinkage) * covariance + shrinkage * np.diag(np.diag(covariance))
    for i in range(4):
        rest = [k for k in range(4) if k != i]
        slopes = np.linalg.solve(covariance[np.ix_(rest, rest)], covariance[rest, i])
        mean = rows[:, i].mean() + (x[:, rest] - rows.mean(0)[rest]) @ slopes
        left = covariance[i, i] - covariance[i, rest] @ slopes
        error = found.extras["standard_error"]["x"][:, i]
        np.testing.assert_allclose(error, abs(w[1, i]) * (left / 3000) ** 0.5, rtol=0.1)
        assert (np.abs(found.values[:, i] - w[1, i] * (x[:, i] - mean)) < 5 * error).all()


def test_conditional_draws_of_images(models) -> None:
    """Where neighbours tell everything, nothing is lost; where they tell nothing, as much as marginally."""
    rng = np.random.default_rng(0)
    flat = np.broadcast_to(rng.normal(size=(60, 1, 1, 1)), (60, 1, 9, 9)).astype(np.float32)
    noise = rng.normal(size=(60, 1, 9, 9)).astype(np.float32)
    model = models.make("m (float[N, 1, 9, 9] x) => (float[N, 1] y) { f = Flatten(x) y = MatMul(f, w) }",
                        w=models.random(81, 1))  # fmt: skip
    method = ox.PredictionDifference((1, 3, 3), 2, 50, "conditional", 1, shrinkage=0.0)
    explainer = ox.Explainer(model)
    alike = explainer(flat[:2], None, method, baselines=flat)
    assert np.abs(alike.values).max() < 1e-3
    apart = explainer(noise[:2], None, method, baselines=noise, internal_batch_size=13)
    wanted = explainer(noise[:2], None, ox.Occlusion((1, 3, 3), 2)).values
    error = apart.extras["standard_error"]["x"]
    assert (np.abs(apart.values - wanted) < 5 * error + 0.15 * np.abs(wanted).max()).all()
    again = explainer(noise[1:2], None, method, baselines=noise)
    np.testing.assert_allclose(again.values[0], apart.values[1], rtol=1e-3, atol=1e-4)


def test_what_no_gaussian_can_be_fitted_to(models, monkeypatch) -> None:
    explainer, x = ox.Explainer(models.conv()), models.random(2, 2, 8, 8)
    monkeypatch.setattr("onnxplain.runtime.driver.Driver.ask", lambda *_, **__: pytest.fail("ran"))
    method = ox.PredictionDifference(sampler="conditional", padding=None)
    with pytest.raises(ox.errors.DataInputError, match=r"'x' need several rows of a background"):
        explainer(x, 1, method)
    with pytest.raises(ox.errors.DataInputError, match=r"'x' holds object, and a Gaussian is of floats"):
        ox.explain(
            texts(), np.array([["red", "blue"]]), method=method, baselines=np.array([["red", "green"]] * 3)
        )
    wide = models.make(
        "m (float[N, 3000] x) => (float[N, 1] y) { y = MatMul(x, w) }", w=models.random(3000, 1)
    )
    with pytest.raises(ox.errors.DataInputError, match=r"patch of 'x' has 3000 numbers.*at most 2048"):
        ox.explain(wide, models.random(1, 3000), method=method, baselines=models.random(4, 3000))


def test_a_gaussian_of_what_never_changes(models) -> None:
    with pytest.raises(ox.errors.DataInputError, match=r"'x' need several rows of a background"):
        ox.explain(
            models.conv(), models.random(2, 2, 8, 8), 1, ox.PredictionDifference(sampler="conditional")
        )

"""Infidelity and sufficiency: formulas, extremes, bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError
from onnxplain.kernels import path_batches as kernels
from onnxplain.kernels.uniform import uniforms
from onnxplain.metrics import Infidelity, Sufficiency

PERTURBATIONS = ["gaussian", "noisy_baseline", "square", "growing_squares"]
every_perturbation = pytest.mark.parametrize("perturbation", PERTURBATIONS)


@pytest.fixture(scope="module")
def conv(models) -> ox.Explainer:
    return ox.Explainer(models.conv())


@pytest.fixture(scope="module")
def images(models) -> np.ndarray:
    return models.random(3, 2, 8, 8, seed=1)


def perturbed(perturbation: str, x: np.ndarray, baseline: float, samples: int, seed: int) -> list[np.ndarray]:
    """One sample (2, 8, 8), perturbed each time; squares have a side of 3."""
    if perturbation in ("gaussian", "noisy_baseline"):
        stdev = 0.1 * (x.max() - x.min())
        centre = x if perturbation == "gaussian" else np.full_like(x, baseline)
        return [kernels.noise(centre[None], stdev, seed, k, 1)[0] for k in range(samples)]
    made = []
    if perturbation == "square":
        for k in range(samples):
            top, left = (int(u * 6) for u in uniforms(seed, 0, k, 1, 2)[0])
            left_over = x.copy()
            left_over[:, top : top + 3, left : left + 3] = baseline
            made.append(left_over)
        return made
    left_over = x.copy()
    for top in (0, 3, 6):
        for left in (0, 3, 6):
            left_over[:, top : top + 3, left : left + 3] = baseline
            made.append(left_over.copy())
    return made


@every_perturbation
@pytest.mark.parametrize("inside", [False, True])
def test_infidelity_is_its_formula(perturbation, inside, conv, images) -> None:
    a = np.random.default_rng(3).normal(size=images.shape)
    made = Infidelity(
        perturbation, 7, noise_level=0.1, patch_size=3, multiply_by_inputs=inside, rescale=False, seed=2
    )
    scaled = Infidelity(
        perturbation, 7, noise_level=0.1, patch_size=3, multiply_by_inputs=inside, rescale=True, seed=2
    )
    found = made(conv, images, 1, attributions=a, baselines=0.5)
    least = scaled(conv, images, 1, attributions=a, baselines=0.5)
    for n, x in enumerate(images):
        points = perturbed(perturbation, x, 0.5, 7, 2)
        scores = conv.predict(np.stack([x, *points]))["y"][:, 1].astype(np.float64)
        changes = scores[0] - scores[1:]
        moved = [x.astype(np.float64) - p for p in points]
        slopes = a[n] / (x - 0.5) if inside else a[n]
        predicted = np.array([(m * slopes).sum() for m in moved])
        errors = (predicted - changes) ** 2
        assert found.values[n] == pytest.approx(errors.mean(), rel=1e-3)
        if perturbation != "growing_squares":
            assert found.extras["standard_error"][n] == pytest.approx(
                errors.std(ddof=1) / np.sqrt(7), rel=1e-3
            )
        best = (predicted * changes).sum() / (predicted**2).sum()
        assert least.values[n] == pytest.approx(((best * predicted - changes) ** 2).mean(), rel=1e-3)


@every_perturbation
def test_a_linear_model_is_predicted_by_its_weights(perturbation, models) -> None:
    w = models.random(1, 12, seed=4)
    model, x = ox.Explainer(models.linear(w)), models.random(4, 12, seed=6)
    made = Infidelity(perturbation, 20)
    nothing = made(model, x, 0, attributions=np.zeros_like(x), baselines=0.5)
    weights = np.broadcast_to(w, x.shape)
    told = made(model, x, 0, attributions=weights, baselines=0.5)
    assert (told.values < 1e-9 * nothing.values).all()
    assert (made(model, x, 0, "saliency", baselines=0.5).values >= told.values).all()
    adds = Infidelity(perturbation, 20, multiply_by_inputs=True)
    found = adds(model, x, 0, attributions=w * (x - 0.5), baselines=0.5)
    assert (found.values < 1e-9 * nothing.values).all()
    rescaled = Infidelity(perturbation, 20, rescale=True)
    assert (rescaled(model, x, 0, attributions=-3 * weights).values < 1e-9 * nothing.values).all()
    unsaid = rescaled(model, x, 0, attributions=np.zeros_like(x), baselines=0.5)
    np.testing.assert_allclose(unsaid.values, nothing.values)
    drawn = np.random.default_rng(0).normal(size=(4, 12))
    assert made(model, x, 0, attributions=drawn).mean > 1e-2


def test_infidelity_of_saying_nothing_is_the_change_of_the_score(models) -> None:
    w = models.random(1, 12, seed=4)
    model, x = ox.Explainer(models.linear(w)), models.random(2, 12, seed=6)
    found = Infidelity(n_samples=4000, stdev=0.5)(model, x, 0, attributions=np.zeros_like(x))
    expected = 0.25 * (w**2).sum()
    assert (np.abs(found.values - expected) < 5 * found.extras["standard_error"]).all()


def test_where_a_feature_is_its_baseline_it_is_not_divided(models) -> None:
    model = ox.Explainer(models.linear([[2.0, 3.0]]))
    x = np.array([[0.0, 4.0]], np.float32)
    found = Infidelity("square", 6, patch_size=1, multiply_by_inputs=True)(model, x, 0, "input_x_gradient")
    np.testing.assert_allclose(found.values, 0, atol=1e-9)


def test_infidelity_of_several_inputs(models) -> None:
    model = ox.Explainer(models.two_inputs())
    x = {"image": models.random(3, 2, 4, seed=1), "table": models.random(3, 3, seed=2)}
    rows = np.concatenate([x["image"].reshape(3, -1), x["table"]], 1).astype(np.float64)
    a = np.random.default_rng(3).normal(size=rows.shape)
    given = {"image": a[:, :8].reshape(3, 2, 4), "table": a[:, 8:]}
    found = Infidelity("growing_squares", patch_size=2)(model, x, 0, attributions=given, baselines=None)
    start = model.predict(x)["y"][:, 0]
    errors = []
    gone = {k: v.copy() for k, v in x.items()}
    for name, where in [
        ("image", np.s_[:, :, :2]), ("image", np.s_[:, :, 2:]), ("table", np.s_[:, :2]),
        ("table", np.s_[:, 2:]),
    ]:  # fmt: skip
        gone[name][where] = 0
        left = np.concatenate([gone["image"].reshape(3, -1), gone["table"]], 1)
        errors.append((((rows - left) * a).sum(1) - (start - model.predict(gone)["y"][:, 0])) ** 2)
    np.testing.assert_allclose(found.values, np.mean(errors, 0), rtol=1e-4)
    for perturbation in PERTURBATIONS[:3]:
        made = Infidelity(perturbation, 5)
        whole = made(model, x, 0, attributions=given)
        small = made(model, x, 0, attributions=given, internal_batch_size=2)
        np.testing.assert_allclose(small.values, whole.values, rtol=1e-4)


def test_a_sample_is_perturbed_alike_in_any_company(conv, images) -> None:
    for perturbation in PERTURBATIONS:
        made = Infidelity(perturbation, 5)
        together = made(conv, images, 2, "saliency").values
        alone = made(conv, images[1:2], 2, "saliency").values
        np.testing.assert_allclose(alone[0], together[1], rtol=1e-4)


def test_one_draw_has_no_error(conv, images) -> None:
    found = Infidelity(n_samples=1)(conv, images, 1, "saliency")
    assert np.isnan(found.extras["standard_error"]).all()
    assert np.isfinite(found.values).all()


def test_infidelity_refuses_what_it_cannot_move(conv, images, models) -> None:
    with pytest.raises(MethodError, match="no use for feature_mask"):
        Infidelity()(conv, images, 1, "saliency", feature_mask="segments")
    ids = {"ids": np.array([[1, 2, 3, 4, 5, 6]]), "mask": np.ones((1, 6), np.int64)}
    with pytest.raises(DataInputError, match="infidelity needs inputs of floats"):
        Infidelity()(ox.Explainer(models.tokens()), ids, 0, "input_x_gradient")


def near(a: np.ndarray, threshold: float, distance: str) -> np.ndarray:
    """Which pairs are no further apart than that part of the largest distance."""
    spread = a.std(0, ddof=1)
    apart = np.zeros((len(a), len(a)))
    for i, one in enumerate(a):
        for j, other in enumerate(a):
            d = np.abs(one - other)
            if distance == "seuclidean":
                d = d[spread > 0] / spread[spread > 0]
            how = {"cityblock": np.sum, "chebyshev": np.max}.get(distance, lambda v: np.sqrt((v**2).sum()))
            apart[i, j] = how(d)
    return apart <= threshold * apart.max()


@pytest.mark.parametrize("distance", ["seuclidean", "euclidean", "cityblock", "chebyshev"])
def test_sufficiency_is_its_formula(distance, models) -> None:
    model, x = ox.Explainer(models.mlp()), models.random(12, 5, seed=9)
    a = models.random(12, 5, seed=4).astype(np.float64)
    a[:, 2] = 0.25  # varies for no sample
    made = Sufficiency(0.4, distance, absolute=False, normalise=False)
    found = made(model, x, 0, attributions=a)
    classes = model.predict(x)["y"].argmax(1)
    pairs = near(a, 0.4, distance)
    for n in range(12):
        others = [classes[m] == classes[n] for m in range(12) if m != n and pairs[n, m]]
        assert found.extras["others"][n] == len(others)
        assert found.values[n] == pytest.approx(np.mean(others)) if others else np.isnan(found.values[n])
    assert bool(found.notes) == bool(np.isnan(found.values).any())


def test_extremes_of_sufficiency(models) -> None:
    model = ox.Explainer(models.linear([[1.0, 0.0], [0.0, 1.0]]))
    x = np.array([[2, 1], [3, 1], [4, 1], [1, 2], [1, 3], [1, 4]], np.float32)
    same = Sufficiency(0.1, "euclidean")(model, x, 0, attributions=(x > 1).astype(float))
    assert same.values.tolist() == [1] * 6
    one = Sufficiency()(model, x, 0, attributions=np.ones_like(x))
    np.testing.assert_allclose(one.values, 2 / 5)
    crossed = np.array([[1, 0], [0, 1], [0.5, 0.7], [1, 0], [0, 1], [0.7, 0.5]])
    found = Sufficiency(0.0)(model, x, 0, attributions=crossed, masks=None)
    assert found.values[[0, 1, 3, 4]].tolist() == [0, 0, 0, 0]
    assert np.isnan(found.values[[2, 5]]).all()
    assert "no other explanation is within the threshold" in found.notes[0]


def test_sufficiency_takes_one_output_for_two_classes(models) -> None:
    model = ox.Explainer(models.linear([[1.0]]))
    x = np.array([[0.2], [0.4], [0.9]], np.float32)
    found = Sufficiency()(model, x, None, attributions=np.ones_like(x))
    np.testing.assert_allclose(found.values, [0.5, 0.5, 0])
    assert "above 0.5" in found.notes[0]
    found = Sufficiency(boundary=0.3)(model, x, None, attributions=np.ones_like(x))
    np.testing.assert_allclose(found.values, [0, 0.5, 0.5])


def test_sufficiency_refuses_what_it_cannot_compare(models) -> None:
    model: Any = ox.Explainer(models.mlp())
    x = models.random(1, 5, seed=9)
    with pytest.raises(DataInputError, match="there is 1; give two or more"):
        Sufficiency()(model, x, 0, "saliency")
    dense = ox.Explainer(
        models.make("m (float[N, 2, 4] x) => (float[N, 2, 4] y) { y = Mul(x, w) }", w=[[[1.0] * 4] * 2])
    )
    with pytest.raises(DataInputError, match="a number for each class"):
        Sufficiency()(dense, models.random(2, 2, 4), (0, 0), "saliency")

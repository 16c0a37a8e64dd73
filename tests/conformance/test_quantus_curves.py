"""Metrics that follow a curve against Quantus's, live, and ROAD's imputation against its authors'."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.features.neighbours import filled
from onnxplain.metrics import IROF, ROAD, Monotonicity, PixelFlipping, RegionPerturbation, Selectivity

pytestmark = pytest.mark.torch

QUIET = {"disable_warnings": True, "normalise": False}
Y = np.array([1, 0, 3, 2])


@pytest.fixture(scope="module")
def images(models) -> np.ndarray:
    return models.random(4, 3, 8, 8, seed=1)


@pytest.fixture(scope="module")
def a(models) -> np.ndarray:
    return models.random(4, 3, 8, 8, seed=2)


@pytest.fixture(scope="module")
def vgg(models) -> ox.Explainer:
    return ox.Explainer(models.vgg())


@pytest.fixture(scope="module")
def grey(models) -> ox.Explainer:
    """(N, 1, 8, 8) to (N, 4), probabilities."""
    return ox.Explainer(models.make(
        "m (float[N, 1, 8, 8] x) => (float[N, 4] y) { c = Conv(x, w) r = Relu(c) f = Flatten(r) "
        "z = MatMul(f, v) y = Softmax(z) }",
        w=models.random(3, 1, 3, 3, seed=3), v=models.random(108, 4, seed=4, scale=0.3),
    ))  # fmt: skip


@pytest.fixture(autouse=True)
def _trapz(monkeypatch) -> None:
    """Quantus calls it by the name that NumPy had for it before 2.0."""
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)


def theirs(metric: Any, explainer: ox.Explainer, x: Any, a: Any, **options: Any) -> Any:
    """What Quantus's metric finds of our model."""
    model = ox.metrics.quantus.model(explainer)
    given = {"softmax": False, "channel_first": True, **options}
    return metric(model=model, x_batch=x, y_batch=Y, a_batch=a, device="cpu", **given)


def area(curve: np.ndarray) -> np.ndarray:
    """Quantus's areas: without the first point, over steps of width 1."""
    return (curve[:, 2:] + curve[:, 1:-1]).sum(1) / 2


@pytest.mark.parametrize("in_step", [1, 8])
def test_pixel_flipping(in_step, vgg, images, a, quantus) -> None:
    found = PixelFlipping(in_step)(vgg, images, Y.tolist(), attributions=a, baselines=0.2)
    curve = found.curves["flipping"].values
    options = {**QUIET, "features_in_step": in_step, "perturb_baseline": 0.2}
    expected = theirs(quantus.PixelFlipping(**options), vgg, images, a)
    np.testing.assert_allclose(curve[:, 1:], expected, rtol=1e-4, atol=1e-4)
    areas = theirs(quantus.PixelFlipping(**options, return_auc_per_sample=True), vgg, images, a)
    np.testing.assert_allclose(area(curve), areas, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_patches(size, vgg, images, a, quantus, monkeypatch) -> None:
    options = {**QUIET, "patch_size": size, "perturb_baseline": 0.2}
    given: dict[str, Any] = {"attributions": a, "baselines": 0.2}
    found = Selectivity(size)(vgg, images, Y.tolist(), **given).curves["selectivity"].values
    expected = theirs(quantus.Selectivity(**options), vgg, images, a)
    np.testing.assert_allclose(found[:, 1:], expected, rtol=1e-4, atol=1e-4)
    players = found.shape[1] - 1
    drawn = np.random.Generator(np.random.Philox(key=0)).random(players).argsort(kind="stable")
    monkeypatch.setattr(np.random, "permutation", lambda n: drawn[::-1] if n == players else None)
    for order in ("morf", "lerf", "random"):
        ours = RegionPerturbation(size, order, 6)(vgg, images, Y.tolist(), **given)
        metric = quantus.RegionPerturbation(**options, order=order, regions_evaluation=6)
        expected = theirs(metric, vgg, images, a)
        np.testing.assert_allclose(ours.curves["perturbation"].values[:, 1:], expected, rtol=1e-4, atol=1e-4)
        steps = np.shape(expected)[1]
        np.testing.assert_allclose(ours.values, np.sum(expected, 1) / (steps + 1), rtol=1e-3, atol=1e-4)


def test_irof(grey, models, quantus) -> None:
    x, a = models.random(4, 1, 8, 8, seed=5), models.random(4, 1, 8, 8, seed=6)
    found = IROF()(grey, x, Y.tolist(), attributions=a, baselines=0.1, through_softmax=True)
    curve = found.curves["removal"].values
    metric = quantus.IROF(**QUIET, perturb_baseline=0.1, return_aggregate=False)
    expected = theirs(metric, grey, x, a, softmax=True)
    np.testing.assert_allclose(curve.shape[1] - 1 - area(curve), expected, rtol=1e-4)


def test_irof_in_a_batch_is_another_in_quantus(grey, models, quantus, monkeypatch) -> None:
    """Of an image with fewer segments than another: the area ends in a fall to 0, half a step wide."""
    import quantus.helpers.utils as helpers

    x, a = models.random(4, 1, 8, 8, seed=5), models.random(4, 1, 8, 8, seed=6)
    x[0] = 0
    few, many = np.arange(64).reshape(8, 8) // 16, np.arange(64).reshape(8, 8) // 8
    monkeypatch.setattr(helpers, "get_superpixel_segments", lambda img, **_: many if img.any() else few)
    metric = quantus.IROF(**QUIET, perturb_baseline=0.1, return_aggregate=False)
    together = theirs(metric, grey, x, a, softmax=True)
    ids = np.stack([few, many, many, many])[:, None]
    given: dict[str, Any] = {"baselines": 0.1, "through_softmax": True}
    found = IROF()(grey, x, Y.tolist(), attributions=a, feature_mask=ids, **given)
    curve = found.curves["removal"].values
    np.testing.assert_allclose(together[1:], 8 - area(curve[1:]), rtol=1e-4)
    np.testing.assert_allclose(together[0], 4 - area(curve[:1, :5])[0] - curve[0, 4] / 2, rtol=1e-4)
    alone = IROF()(grey, x[:1], 1, attributions=a[:1], feature_mask=ids[:1], **given)
    np.testing.assert_allclose(alone.values[0], found.values[0], rtol=1e-6)


def test_irof_of_several_channels_fails_in_quantus(vgg, images, a, quantus) -> None:
    with pytest.raises(AssertionError, match="must be the same as the mask shape"):
        theirs(quantus.IROF(**QUIET), vgg, images, a)


@pytest.mark.parametrize("absolute", [False, True])
def test_monotonicity_in_quantus_is_always_true(absolute, vgg, images, a, quantus) -> None:
    options = {**QUIET, "abs": absolute, "features_in_step": 16, "perturb_baseline": 0.0}
    assert theirs(quantus.Monotonicity(**options), vgg, images, a) == [True] * 4
    ours = Monotonicity(16, absolute=absolute)(vgg, images, Y.tolist(), attributions=a)
    assert (ours.values == 0).all()


def test_road(grey, models, quantus) -> None:
    x, a = models.random(4, 1, 8, 8, seed=5), models.random(4, 1, 8, 8, seed=6)
    found = ROAD(noise=0.0)(grey, x, Y.tolist(), attributions=a)
    expected = theirs(quantus.ROAD(**QUIET, noise=0.0), grey, x, a)
    assert [100 * p for p in found.curves["road"].at] == pytest.approx(list(expected))
    np.testing.assert_allclose(found.curves["road"].values.mean(0), list(expected.values()))
    assert 0 < found.mean < 1


def test_road_with_their_noise(grey, models, quantus, monkeypatch) -> None:
    """Of a noise that changes what is predicted."""
    x, a = models.random(4, 1, 8, 8, seed=5), models.random(4, 1, 8, 8, seed=6)
    shares = (20.0, 50.0, 90.0)
    order = np.argsort(-a.reshape(4, -1), axis=1)
    philox = [np.random.Philox(counter=k << 128, key=3) for k in range(3)]
    noise = [np.random.Generator(bits).standard_normal(64) for bits in philox]
    calls = iter([(k, n) for k in range(3) for n in range(4)])

    def drawn(count: int) -> np.ndarray:
        k, n = next(calls)
        return noise[k][order[n, :count]]

    monkeypatch.setattr(np.random, "randn", drawn)
    expected = theirs(quantus.ROAD(**QUIET, noise=2.0, percentages=list(shares)), grey, x, a)
    found = ROAD(shares, noise=2.0, seed=3)(grey, x, Y.tolist(), attributions=a).curves["road"].values
    np.testing.assert_allclose(found.mean(0), list(expected.values()))
    without = ROAD(shares, noise=0.0)(grey, x, Y.tolist(), attributions=a).curves["road"].values
    assert (found != without).any()


def test_road_of_several_channels_fails_in_quantus(vgg, images, a, quantus) -> None:
    with pytest.raises(IndexError):
        theirs(quantus.ROAD(**QUIET), vgg, images, a)
    assert np.isfinite(ROAD((10.0, 50.0))(vgg, images, Y.tolist(), attributions=a).values).all()


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_imputation_of_the_authors(share, models) -> None:
    """As pytorch-grad-cam ships it."""
    road = pytest.importorskip("pytorch_grad_cam.metrics.road")
    image = models.random(3, 11, 9, seed=1)
    gone = np.random.default_rng(2).random((11, 9)) < share
    kept = 1.0 - gone
    left, right = road.NoisyLinearImputer.setup_sparse_system(kept, image, road.neighbors_weights)
    expected = np.linalg.solve(left.toarray(), right)
    found = filled(np.moveaxis(image, 0, -1), gone)
    np.testing.assert_allclose(found[gone], expected, rtol=1e-5, atol=1e-6)

"""Localisation and complexity beside Quantus, on the same attributions; and where it says something else."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import onnxplain as ox

pytestmark = pytest.mark.torch

M = ox.metrics


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Attributions of 12 images, (12, 1, 8, 8), without ties, and masks; that of sample 5 is empty."""
    generator = np.random.default_rng(0)
    masks = generator.random((12, 1, 8, 8)) < generator.uniform(0.1, 0.7, (12, 1, 1, 1))
    masks[5] = False
    return generator.normal(size=(12, 1, 8, 8)) + masks, masks


@pytest.fixture
def ours(models: Any) -> Any:
    explainer = ox.Explainer(models.conv())

    def measure(metric: Any, values: np.ndarray, masks: np.ndarray | None = None) -> np.ndarray:
        x = np.zeros((len(values), 2, 8, 8), np.float32)
        found = metric(explainer, x, 0, attributions=values, masks=masks)
        assert isinstance(found, M.Measured)
        return found.values

    return measure


@pytest.fixture
def theirs(quantus: Any) -> Any:
    import torch

    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(128, 3))

    def measure(name: str, values: np.ndarray, masks: Any = None, **parameters: Any) -> np.ndarray:
        metric = getattr(quantus, name)(disable_warnings=True, **parameters)
        x = np.zeros((len(values), 2, 8, 8), np.float32)
        key = "custom_batch" if name == "Focus" else "s_batch"
        given = {} if masks is None else {key: masks}
        found = metric(net, x, np.zeros(len(values), int), a_batch=values.copy(), device="cpu", **given)
        return np.asarray(found, np.float64)

    return measure


@pytest.mark.parametrize(
    ("metric", "name", "parameters"),
    [
        (M.PointingGame(), "PointingGame", {}),
        (M.PointingGame(absolute=True), "PointingGame", {"abs": True}),
        (M.TopKIntersection(10), "TopKIntersection", {"k": 10}),
        (
            M.TopKIntersection(10, concept_influence=True),
            "TopKIntersection",
            {"k": 10, "concept_influence": True},
        ),
        (M.RelevanceRankAccuracy(), "RelevanceRankAccuracy", {}),
        (M.RelevanceMassAccuracy(positive_attributions=False), "RelevanceMassAccuracy", {}),
        (M.RelevanceMassAccuracy(absolute=True), "RelevanceMassAccuracy", {"abs": True}),
        (M.AttributionLocalisation(), "AttributionLocalisation", {}),
        (
            M.AttributionLocalisation(positive_attributions=True, absolute=False),
            "AttributionLocalisation",
            {"positive_attributions": True, "abs": False},
        ),
        (M.AUC(), "AUC", {}),
        (M.AUC(absolute=True), "AUC", {"abs": True}),
    ],
)
@pytest.mark.parametrize("normalise", [False, True])
def test_localisation(metric, name, parameters, normalise, ours, theirs, drawn) -> None:
    values, masks = drawn
    found = ours(metric, values, masks)
    wanted = theirs(name, values, masks, normalise=normalise, **parameters)
    told = np.arange(12) != 5
    np.testing.assert_allclose(found[told], wanted[told], rtol=1e-6, atol=1e-9)
    assert np.isnan(found[5])
    assert np.isnan(wanted[5]) or (name == "PointingGame" and wanted[5] == 1)  # NaN as a bool is True


def test_ties(ours, theirs, drawn) -> None:
    """Where half of the places are marked alike, Quantus sees a hit if any of them is one."""
    masks = np.delete(drawn[1], 5, axis=0)
    marked = (np.random.default_rng(1).random(masks.shape) < 0.5) * 1.0
    inside = (marked * masks).sum((1, 2, 3)) / marked.sum((1, 2, 3))
    assert (inside < 0.8).all()
    assert (theirs("PointingGame", marked, masks) == 1).all()
    np.testing.assert_array_equal(ours(M.PointingGame(ties="any"), marked, masks), 1)
    np.testing.assert_allclose(ours(M.PointingGame(), marked, masks), inside)
    np.testing.assert_allclose(ours(M.AUC(), marked, masks), theirs("AUC", marked, masks))
    rows = (marked, masks), (marked[:, :, ::-1].copy(), masks[:, :, ::-1].copy())  # the same, upside down
    ours_both = [ours(M.TopKIntersection(5), *row) for row in rows]
    theirs_both = [theirs("TopKIntersection", *row, k=5) for row in rows]
    np.testing.assert_array_equal(*ours_both)
    assert np.abs(theirs_both[0] - theirs_both[1]).max() > 0.1


def test_weights(ours, theirs, drawn) -> None:
    """Quantus multiplies by the mask's share, of a batch less two samples, where the paper divides."""
    values, masks = np.delete(drawn[0], 5, axis=0), np.delete(drawn[1], 5, axis=0)
    plain = ours(M.AttributionLocalisation(), values, masks)
    wanted = theirs("AttributionLocalisation", values, masks, weighted=True)
    batch = (len(values) - 2) * 2 * 64
    np.testing.assert_allclose(wanted, plain * masks.sum((1, 2, 3)) / batch, rtol=1e-6)
    found = ours(M.AttributionLocalisation(weighted=True), values, masks)
    np.testing.assert_allclose(found, plain / masks.mean((1, 2, 3)))


def test_weighted_pointing_is_not_to_be_had_there(ours, theirs, drawn) -> None:
    values, masks = np.delete(drawn[0], 5, axis=0), np.delete(drawn[1], 5, axis=0)
    hits = ours(M.PointingGame(), values, masks)
    assert hits.sum() > 1
    found = ours(M.PointingGame(weighted=True), values, masks)
    np.testing.assert_allclose(found, hits * (1 - masks.mean((1, 2, 3))))
    with pytest.raises(TypeError, match="boolean array indexing"):
        theirs("PointingGame", values, masks, weighted=True)


def test_mosaics_and_focus(ours, theirs) -> None:
    from quantus.functions.mosaic_func import mosaic_creation

    generator = np.random.default_rng(0)
    images, labels = generator.normal(size=(15, 2, 6, 6)), np.repeat([0, 1, 2], 5)
    mosaics, indices, classes, positions, target = mosaic_creation(images, labels, 7, seed=3)
    found = M.mosaics(images, labels, 7, seed=3)
    np.testing.assert_array_equal(found.images, mosaics)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_array_equal(found.labels, classes)
    np.testing.assert_array_equal(found.positions, positions)
    np.testing.assert_array_equal(found.target, target)
    np.testing.assert_array_equal(M.quadrants(positions, mosaics.shape[1:]), found.masks)
    values, masks = generator.normal(size=(21, 1, 8, 8)), M.quadrants(positions, (1, 8, 8))
    wanted = theirs("Focus", values, np.array(positions))
    np.testing.assert_allclose(ours(M.Focus(), values, masks), wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("metric", "name", "parameters"),
    [
        (M.Sparseness(), "Sparseness", {}),
        (M.Complexity(), "Complexity", {}),
        (
            M.EffectiveComplexity(0.1, normalise=False, channels="max"),
            "EffectiveComplexity",
            {"eps": 0.1, "normalise": False},
        ),
    ],
)
def test_complexity(metric, name, parameters, ours, theirs, drawn) -> None:
    values = drawn[0]
    np.testing.assert_allclose(ours(metric, values), theirs(name, values, **parameters), rtol=1e-5)


def test_the_batch_decides_there(ours, theirs, drawn) -> None:
    """Quantus divides by the largest magnitude of the batch: a sample among larger ones looks simpler."""
    values = drawn[0] * np.array([1.0] * 11 + [1e5]).reshape(12, 1, 1, 1)
    found = ours(M.EffectiveComplexity(), values)
    assert (found[:11] > 60).all()
    wanted = theirs("EffectiveComplexity", values)
    assert (wanted[:11] < 60).all()
    alone = [theirs("EffectiveComplexity", values[n : n + 1])[0] for n in range(12)]
    np.testing.assert_array_equal(found, alone)


def test_what_is_constant(ours, theirs) -> None:
    for value in (0.0, 0.5):
        with pytest.raises(AssertionError, match=r"all equal to zero|uniformly distributed"):
            theirs("Complexity", np.full((3, 1, 8, 8), value))
    np.testing.assert_allclose(ours(M.Complexity(), np.full((3, 1, 8, 8), 0.5)), math.log(64))

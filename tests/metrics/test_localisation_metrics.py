"""Metrics of localisation beside plain loops over the papers' formulas, and where the answer is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError, MethodError
from onnxplain.metrics import FAMILIES

M = ox.metrics
EVERY = [kind.name for kind in FAMILIES["localisation"]]
every_one = pytest.mark.parametrize("name", EVERY)


@pytest.fixture(scope="module")
def conv(models) -> ox.Explainer:
    return ox.Explainer(models.conv())


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Attributions with many ties (of 40 images, two channels of 8 by 8), and masks of all sizes."""
    generator = np.random.default_rng(3)
    values = generator.normal(size=(40, 2, 8, 8))
    values[::2] = np.round(2 * values[::2]) / 2
    share = generator.uniform(0.05, 0.6, size=(40, 1, 1, 1))
    masks = generator.random((40, 1, 8, 8)) < share
    masks[:, 0, 0, 0] = True
    masks[:, 0, 7, 7] = False
    return values, masks


def measured(metric: Any, explainer: ox.Explainer, values: Any, masks: Any) -> Any:
    shape = (len(values), 2, 8, 8)
    return metric(explainer, np.zeros(shape, np.float32), 0, attributions=values, masks=masks)


def make(name: str, **parameters: Any) -> Any:
    return M.metric(name, **({"k": 4} if name == "top_k_intersection" else {}), **parameters)


# ---- plain loops; v and m are lists of D numbers and booleans


def first_k(v: list[float], m: list[bool], k: int) -> float:
    """The mean, over all orders of equal ones, of how many of the k largest lie in the mask."""
    found, left = 0.0, k
    for value in sorted(set(v), reverse=True):
        tied = [inside for x, inside in zip(v, m, strict=True) if x == value]
        taken = min(left, len(tied))
        found += taken * sum(tied) / len(tied)
        left -= taken
    return found


def pointing(v: list[float], m: list[bool]) -> float:
    top = [inside for x, inside in zip(v, m, strict=True) if x == max(v)]
    return sum(top) / len(top)


def mass(v: list[float], m: list[bool]) -> float:
    return sum(x for x, inside in zip(v, m, strict=True) if inside) / sum(v)


def pairs(v: list[float], m: list[bool]) -> float:
    inside = [x for x, there in zip(v, m, strict=True) if there]
    outside = [x for x, there in zip(v, m, strict=True) if not there]
    return sum((a > b) + (a == b) / 2 for a in inside for b in outside) / (len(inside) * len(outside))


def overlap(v: list[float], m: list[bool], part: float) -> float:
    there = [x > 0 and x / max(v) >= part - 1e-12 for x in v]
    return sum(a and b for a, b in zip(there, m, strict=True)) / sum(
        a or b for a, b in zip(there, m, strict=True)
    )


def overlap_of_largest(v: list[float], m: list[bool], part: float) -> float:
    least = sorted(v)[-round(part * len(v))]
    return overlap([float(x >= least) for x in v], m, 1.0)


def clipped(v: list[float]) -> list[float]:
    return [max(x, 0.0) for x in v]


def from_minimum(v: list[float]) -> list[float]:
    return [max(x, 0.0) - min(clipped(v)) for x in v]


def magnitudes(v: list[float]) -> list[float]:
    return [abs(x) for x in v]


REPLICAS = [
    (M.PointingGame(), pointing),
    (M.PointingGame(ties="any"), lambda v, m: float(pointing(v, m) > 0)),
    (M.PointingGame(weighted=True), lambda v, m: pointing(v, m) * (1 - sum(m) / len(m))),
    (M.TopKIntersection(7), lambda v, m: first_k(v, m, 7) / 7),
    (M.TopKIntersection(0.25), lambda v, m: first_k(v, m, 16) / 16),
    (M.TopKIntersection(7, concept_influence=True), lambda v, m: first_k(v, m, 7) / 7 * len(m) / sum(m)),
    (M.RelevanceRankAccuracy(), lambda v, m: first_k(v, m, sum(m)) / sum(m)),
    (M.RelevanceMassAccuracy(), lambda v, m: mass(clipped(v), m)),
    (M.RelevanceMassAccuracy(positive_attributions=False), mass),
    (M.Focus(), lambda v, m: mass(clipped(v), m)),
    (M.EnergyPointingGame(), lambda v, m: mass(from_minimum(v), m)),
    (M.EnergyPointingGame(absolute=True), lambda v, m: mass(from_minimum(magnitudes(v)), m)),
    (M.EnergyPointingGame(from_minimum=False), lambda v, m: mass(clipped(v), m)),
    (M.AttributionLocalisation(), lambda v, m: mass(magnitudes(v), m)),
    (M.AttributionLocalisation(weighted=True), lambda v, m: mass(magnitudes(v), m) * len(m) / sum(m)),
    (
        M.AttributionLocalisation(positive_attributions=True, absolute=False),
        lambda v, m: mass(clipped(v), m),
    ),
    (M.AUC(), pairs),
    (M.AUC(absolute=True), lambda v, m: pairs(magnitudes(v), m)),
    (M.IoU(), lambda v, m: overlap(v, m, 0.2)),
    (M.IoU("best"), lambda v, m: max(overlap(v, m, k / 20) for k in range(1, 21))),
    (M.IoU("mean", n_thresholds=5), lambda v, m: sum(overlap(v, m, k / 5) for k in range(1, 6)) / 5),
    (M.IoU(0.25, by="share"), lambda v, m: overlap_of_largest(v, m, 0.25)),
]


@pytest.mark.parametrize(("metric", "replica"), REPLICAS, ids=map(str, range(len(REPLICAS))))
@pytest.mark.parametrize("normalise", [False, True])
def test_as_the_paper_has_it(metric, replica, normalise, conv, drawn) -> None:
    values, masks = drawn
    flat, truth = values.sum(1).reshape(40, -1).tolist(), masks.reshape(40, -1).tolist()
    expected = [replica(v, m) for v, m in zip(flat, truth, strict=True)]
    found = measured(replace(metric, normalise=normalise), conv, values, masks)
    np.testing.assert_allclose(found.values, expected, rtol=1e-9, atol=1e-12)
    assert not found.notes


@every_one
def test_extremes(name, conv, drawn) -> None:
    _, masks = drawn
    share = masks.mean((1, 2, 3))
    perfect = measured(make(name), conv, masks * 2.5, masks)
    few = masks.sum((1, 2, 3)) < 4  # then 4 of them are not the largest four
    expected = np.where(few, masks.sum((1, 2, 3)) / 4, 1) if name == "top_k_intersection" else np.ones(40)
    atol = 0.2 if name == "top_k_intersection" else 1e-12  # those outside share places
    np.testing.assert_allclose(perfect.values[~few], expected[~few])
    np.testing.assert_allclose(perfect.values, expected, atol=atol)
    constant = measured(make(name), conv, np.full((40, 1, 8, 8), 0.7), masks)
    if name == "energy_pointing_game":
        assert np.isnan(constant.values).all()
    else:
        np.testing.assert_allclose(constant.values, 0.5 if name == "auc" else share)
    zero = measured(make(name), conv, np.zeros((40, 1, 8, 8)), masks)
    if name in ("pointing_game", "top_k_intersection", "relevance_rank_accuracy", "auc"):
        np.testing.assert_array_equal(zero.values, constant.values)
    elif name == "iou":
        assert not zero.values.any()
    else:
        assert np.isnan(zero.values).all()
        assert "nothing is said of 40 of 40 samples" in zero.notes[0]
        assert "nothing to take a share of" in zero.notes[0]


@every_one
def test_random_explanations_are_worth_chance(name, conv) -> None:
    generator = np.random.default_rng(5)
    values = generator.uniform(size=(1500, 1, 8, 8))
    masks = np.zeros((1500, 1, 8, 8), bool)
    masks[:, :, 2:6, 1:5] = True  # a quarter
    found = measured(make(name), conv, values, masks)
    chance = {"auc": 0.5, "iou": 0.8 * 0.25 / (0.25 + 0.8 - 0.8 * 0.25)}.get(name, 0.25)
    low, high = found.interval(0.999, n_resamples=200)
    slack = 0.005 if name == "iou" else 0.0  # the largest of 64 is not quite 1
    assert low - slack <= chance <= high + slack


@every_one
def test_an_empty_mask_says_nothing(name, conv, drawn) -> None:
    values, masks = drawn
    empty = masks.copy()
    empty[[3, 17]] = False
    found, whole = (measured(make(name), conv, values, m) for m in (empty, masks))
    assert np.flatnonzero(np.isnan(found.values)).tolist() == [3, 17]
    assert found.notes == ("nothing is said of 2 of 40 samples (numbers 3, 17): the mask is empty",)
    kept = np.delete(np.arange(40), [3, 17])
    np.testing.assert_array_equal(found.values[kept], whole.values[kept])


@every_one
def test_the_scale_does_not_matter(name, conv, drawn) -> None:
    values, masks = drawn
    plain = measured(make(name), conv, values, masks).values
    for scale in (2.0**-1060, 2.0**1000):
        found = measured(make(name), conv, values * scale, masks).values
        np.testing.assert_allclose(found, plain, rtol=1e-2)


def test_a_mask_of_everything(conv, drawn) -> None:
    values, masks = drawn
    found = measured(M.AUC(), conv, values, masks | (np.arange(40) == 2)[:, None, None, None])
    assert np.flatnonzero(np.isnan(found.values)).tolist() == [2]
    assert "the mask holds all elements" in found.notes[0]
    large = measured(M.AttributionLocalisation(max_size=0.3), conv, values, masks)
    np.testing.assert_array_equal(np.isnan(large.values), masks.mean((1, 2, 3)) > 0.3)
    assert "max_size=0.3" in large.notes[0]


def test_near_is_near_enough(conv) -> None:
    masks = np.zeros((3, 8, 8), bool)
    masks[:, 3, 3] = True
    values = np.zeros((3, 8, 8))
    values[0, 3, 5] = values[1, 4, 4] = values[2, 6, 3] = 1
    for tolerance, expected in ((0.0, [0, 0, 0]), (1.5, [0, 1, 0]), (2.0, [1, 1, 0]), (3, [1, 1, 1])):
        found = measured(M.PointingGame(tolerance), conv, values, masks)
        np.testing.assert_array_equal(found.values, expected)


def test_roc_curve(conv, drawn) -> None:
    values, masks = drawn
    found = measured(M.AUC(), conv, values, masks)
    curve = found.curves["roc"]
    flat, truth = values.sum(1).reshape(40, -1), masks.reshape(40, -1)
    for n in range(40):
        points = [
            ((flat[n][~truth[n]] >= t).mean(), (flat[n][truth[n]] >= t).mean())
            for t in [np.inf, *sorted(set(flat[n]), reverse=True)]
        ]
        for at, rate in zip(curve.at, curve.values[n], strict=True):
            before = [p for p in points if p[0] <= at + 1e-12][-1]
            after = next((p for p in points if p[0] > at + 1e-12), before)
            length = after[0] - before[0]
            line = before[1] + ((at - before[0]) / length * (after[1] - before[1]) if length else 0)
            assert rate == pytest.approx(line, abs=1e-9)
    assert (np.diff(curve.values, axis=1) >= -1e-12).all()
    np.testing.assert_array_equal(curve.values[:, -1], 1)


def test_iou_curve_and_the_best_of_it(conv, drawn) -> None:
    values, masks = drawn
    found = measured(M.IoU(0.35), conv, values, masks)
    curve = found.curves["iou"]
    np.testing.assert_allclose(curve.at, np.arange(1, 21) / 20)
    np.testing.assert_array_equal(found.values, curve.values[:, 6])
    np.testing.assert_array_equal(found.extras["best"], curve.values.max(1))
    place = np.round(found.extras["best_threshold"] * 20).astype(int) - 1
    np.testing.assert_array_equal(curve.values[np.arange(40), place], found.extras["best"])
    half = measured(M.IoU(by="share", n_thresholds=2), conv, masks * 1.0, masks)
    np.testing.assert_allclose(half.curves["iou"].values[:, 1], masks.mean((1, 2, 3)))  # all are chosen


POOLS = {
    "sum": lambda v: v.sum(1),
    "l1": lambda v: np.abs(v).sum(1),
    "l2": lambda v: np.sqrt((v**2).sum(1)),
    "max": lambda v: np.abs(v).max(1),
}


@every_one
@pytest.mark.parametrize("pool", POOLS)
def test_channels_are_put_together(name, pool, conv, drawn, models) -> None:
    values, masks = drawn
    found = measured(make(name, channels=pool), conv, values, masks)
    maps = measured(make(name, channels="each"), conv, POOLS[pool](values), masks)
    if name == "top_k_intersection":  # of 64 places each is there twice
        maps = measured(M.TopKIntersection(8, channels="each"), conv, POOLS[pool](values), masks)
    np.testing.assert_allclose(found.values, maps.values, rtol=1e-12)
    last = ox.Explainer(models.channels_last())
    turned = make(name, channels=pool)(
        last, np.zeros((40, 8, 8, 2), np.float32), 0,
        attributions=values.transpose(0, 2, 3, 1), masks=masks[:, 0],
    )  # fmt: skip
    np.testing.assert_allclose(turned.values, found.values, rtol=1e-12)


def test_masks_that_differ_between_channels(conv, drawn) -> None:
    values, _ = drawn
    masks = np.random.default_rng(1).random(values.shape) < 0.3
    with pytest.raises(DataInputError, match=r"the masks of 'x' differ between channels.*channels='each'"):
        measured(M.AUC(), conv, values, masks)
    found = measured(M.AUC(channels="each"), conv, values, masks)
    flat, truth = values.reshape(40, -1).tolist(), masks.reshape(40, -1).tolist()
    expected = [pairs(v, m) for v, m in zip(flat, truth, strict=True)]
    np.testing.assert_allclose(found.values, expected, rtol=1e-9)


@every_one
def test_several_inputs_are_one_explanation(name, models) -> None:
    model = ox.Explainer(models.two_inputs())
    generator = np.random.default_rng(2)
    values = {"image": generator.normal(size=(5, 2, 4)), "table": generator.normal(size=(5, 3))}
    masks = {k: generator.random(v.shape) < 0.5 for k, v in values.items()}
    inputs = {k: v.astype(np.float32) for k, v in values.items()}
    found = make(name)(model, inputs, 0, attributions=values, masks=masks)
    flat, truth = (np.concatenate([a["image"].reshape(5, -1), a["table"]], 1) for a in (values, masks))
    one = ox.Explainer(models.linear(np.ones((2, 11))))
    alone = make(name)(one, np.zeros((5, 11), np.float32), 0, attributions=flat, masks=truth)
    np.testing.assert_allclose(found.values, alone.values)


def test_a_linear_model_is_told_from_its_noise(models) -> None:
    weights = np.zeros((1, 12), np.float32)
    weights[0, 4:8] = [3, 2, 4, 5]
    x = np.random.default_rng(0).uniform(0.5, 1, (6, 12)).astype(np.float32)
    masks = np.broadcast_to(weights > 0, x.shape)
    for name in EVERY:
        metric = make(name, **({"threshold": 0.1} if name == "iou" else {}))
        found = metric(ox.Explainer(models.linear(weights)), x, 0, "input_x_gradient", masks=masks)
        np.testing.assert_allclose(found.values, 1)


def test_parameters_that_make_no_sense(conv, drawn) -> None:
    with pytest.raises(DataInputError, match="looks at the 1000 largest attributions, and a sample has 64"):
        measured(M.TopKIntersection(), conv, *drawn)
    for kind, parameters in (
        (M.TopKIntersection, {"k": 0}),
        (M.TopKIntersection, {"k": 0.0}),
        (M.TopKIntersection, {"k": 1.5}),
        (M.PointingGame, {"tolerance": -1.0}),
        (M.PointingGame, {"ties": "first"}),
        (M.IoU, {"threshold": 0.0}),
        (M.IoU, {"threshold": "worst"}),
        (M.IoU, {"by": "mass"}),
        (M.AUC, {"channels": "mean"}),
        (M.AttributionLocalisation, {"max_size": 2.0}),
    ):
        with pytest.raises(MethodError, match=next(iter(parameters))):
            kind(**parameters)

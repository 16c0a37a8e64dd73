"""Metrics that follow a curve while features leave or come back: beside plain loops, and at their ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import MethodError, OptionError
from onnxplain.metrics import (
    IROF,
    SRG,
    Deletion,
    Insertion,
    Monotonicity,
    PixelFlipping,
    RegionPerturbation,
    Selectivity,
)

#: Groups of flat places of one sample.
Groups = Sequence[Sequence[int]]


def scores_of(explainer: ox.Explainer, target: int) -> Callable[[np.ndarray], float]:
    """The score of one sample."""
    return lambda x: float(explainer.predict(x[None])["y"][0, target])


def curve(
    score: Callable[[np.ndarray], float],
    x: np.ndarray,
    baseline: np.ndarray,
    groups: Groups,
    order: Sequence[int],
    in_step: int = 1,
) -> list[float]:
    """Scores while groups go to the baseline in an order: one group after the other."""
    now = x.copy()
    found = [score(now)]
    for first in range(0, len(order), in_step):
        for player in order[first : first + in_step]:
            for place in groups[player]:
                now.reshape(-1)[place] = baseline.reshape(-1)[place]
        found.append(score(now))
    return found


def in_order(a: np.ndarray, groups: Groups, *, descending: bool = True) -> list[int]:
    """Groups by the sum of their attributions."""
    sums = [sum(a.reshape(-1)[place] for place in group) for group in groups]
    return sorted(range(len(groups)), key=lambda player: -sums[player] if descending else sums[player])


def mean_of(values: Sequence[float], players: int, in_step: int = 1) -> float:
    """The area under a curve, over the share of players that are gone."""
    at = [min(k * in_step, players) / players for k in range(len(values))]
    return sum((at[k + 1] - at[k]) * (values[k] + values[k + 1]) / 2 for k in range(len(values) - 1))


def single(x: np.ndarray) -> Groups:
    return [[k] for k in range(x.size)]


def places(x: np.ndarray) -> Groups:
    """Pixels of an image (C, H, W)."""
    size = x[0].size
    return [[k + c * size for c in range(len(x))] for k in range(size)]


@pytest.fixture(scope="module")
def conv(models) -> ox.Explainer:
    return ox.Explainer(models.conv())


@pytest.fixture(scope="module")
def images(models) -> np.ndarray:
    return models.random(3, 2, 8, 8, seed=11)


@pytest.fixture(scope="module")
def a(models) -> np.ndarray:
    return models.random(3, 2, 8, 8, seed=12)


@pytest.mark.parametrize("in_step", [1, 9])
def test_pixel_flipping(in_step, conv, images, a) -> None:
    found = PixelFlipping(features_in_step=in_step)(conv, images, 1, attributions=a, baselines=0.5)
    for n, x in enumerate(images):
        order = in_order(a[n], single(x))
        expected = curve(scores_of(conv, 1), x, np.full_like(x, 0.5), single(x), order, in_step)
        np.testing.assert_allclose(found.curves["flipping"].values[n], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found.values[n], mean_of(expected, x.size, in_step), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_steps", [224, 10])
def test_deletion_insertion_and_srg(n_steps, conv, images, a) -> None:
    in_step = -(-64 // n_steps)
    options: dict[str, Any] = {"attributions": a, "through_softmax": False}
    deleted, gain = (m(n_steps=n_steps)(conv, images, 2, **options) for m in (Deletion, SRG))
    inserted = Insertion(n_steps=n_steps)(conv, images, 2, **options)
    blurred = ox.Blur().instead(images, 0, "'x'")
    for n, x in enumerate(images):
        score, order = scores_of(conv, 2), in_order(a[n], places(x))
        down = curve(score, x, 0 * x, places(x), order, in_step)
        up = curve(score, blurred[n], x, places(x), order, in_step)
        last = curve(score, x, 0 * x, places(x), in_order(a[n], places(x), descending=False), in_step)
        areas = [mean_of(values, 64, in_step) for values in (down, up, last)]
        np.testing.assert_allclose(deleted.curves["deletion"].values[n], down, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(inserted.curves["insertion"].values[n], up, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(deleted.values[n], areas[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(inserted.values[n], areas[1], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(gain.values[n], areas[2] - areas[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(gain.extras["lif"] - gain.extras["mif"], gain.values)


def test_every_order_of_a_linear_model(models) -> None:
    """Attributions ``w x`` order best of all 120 orders, their reverse worst, and the middle is the mean."""
    w, x = np.array([[1.0, -2.0, 0.5, 3.0, -0.7]]), np.array([[2.0, 1.0, -1.0, 0.5, 3.0]], np.float32)
    explainer = ox.Explainer(models.linear(w, [0.3]))
    orders = np.array(list(permutations(range(5))), float)
    every = np.repeat(x, len(orders), 0)
    best = {metric: metric()(explainer, x, 0, attributions=w * x) for metric in (Deletion, Insertion, SRG)}
    worst = {metric: metric()(explainer, x, 0, attributions=-w * x) for metric in best}
    nothing = SRG()(explainer, x, 0, attributions=np.ones((1, 5))).values
    np.testing.assert_array_equal(nothing, 0)
    for metric, found in best.items():
        values = metric()(explainer, every, 0, attributions=orders).values
        ends = [values.min(), values.max()]
        if metric.higher_is_better:
            ends.reverse()
        np.testing.assert_allclose([found.values[0], worst[metric].values[0]], ends, rtol=1e-6)
        np.testing.assert_allclose(values.mean(), np.mean(ends), atol=1e-6)
    flipped = PixelFlipping()(explainer, every, 0, attributions=orders).values
    np.testing.assert_array_equal(flipped, Deletion()(explainer, every, 0, attributions=orders).values)
    for metric in (RegionPerturbation(), RegionPerturbation(order="lerf"), Selectivity()):
        values = metric(explainer, every, 0, attributions=orders).values
        end = values.max() if metric.higher_is_better else values.min()
        np.testing.assert_allclose(metric(explainer, x, 0, attributions=w * x).values, end, rtol=1e-6)


def blocks(shape: tuple[int, int, int], size: int) -> Groups:
    """Patches of an image (C, H, W), cut at its borders."""
    c, h, w = shape
    groups: dict[tuple[int, int], list[int]] = {}
    for k, (_, y, x) in enumerate(np.ndindex(c, h, w)):
        up, left = ((-length % size) // 2 for length in (h, w))
        groups.setdefault(((y + up) // size, (x + left) // size), []).append(k)
    return [groups[key] for key in sorted(groups)]


@pytest.mark.parametrize("size", [2, 3, 20])
def test_patches(size, conv, images, a) -> None:
    fallen = RegionPerturbation(size)(conv, images, 1, attributions=a, baselines=-0.5)
    few = RegionPerturbation(size, "lerf", 4)(conv, images, 1, attributions=a, baselines=-0.5)
    whole = Selectivity(size)(conv, images, 1, attributions=a, baselines=-0.5)
    for n, x in enumerate(images):
        groups, score, instead = blocks(x.shape, size), scores_of(conv, 1), np.full_like(x, -0.5)
        values = curve(score, x, instead, groups, in_order(a[n], groups))
        falls = [values[0] - v for v in values]
        np.testing.assert_allclose(fallen.curves["perturbation"].values[n], falls, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(fallen.values[n], sum(falls) / len(falls), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(whole.curves["selectivity"].values[n], values, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(whole.values[n], mean_of(values, len(groups)), rtol=1e-5, atol=1e-5)
        order = in_order(a[n], groups, descending=False)
        values = curve(score, x, instead, groups, order)[:5]
        falls = [values[0] - v for v in values]
        np.testing.assert_allclose(few.values[n], sum(falls) / len(falls), rtol=1e-4, atol=1e-5)


def test_patches_of_series_and_tables(models) -> None:
    series = models.make(
        "m (float[N, 2, 12] x) => (float[N, 2] y) "
        "{ c = Conv(x, w) r = Relu(c) g = GlobalAveragePool(r) y = Flatten(g) }",
        w=models.random(2, 2, 3, seed=1),
    )  # fmt: skip
    for explainer, shape, players in (
        (ox.Explainer(series), (2, 12), 3),
        (ox.Explainer(models.mlp()), (5,), 5),
        (ox.Explainer(models.two_inputs()), None, None),
    ):
        if shape is None:
            x: Any = {"image": models.random(2, 2, 4), "table": models.random(2, 3, seed=1)}
            given: Any = {k: np.abs(v) for k, v in x.items()}
            players = 1 + 3
        else:
            x, given = models.random(2, *shape), models.random(2, *shape, seed=3)
        found = Selectivity(patch_size=4)(explainer, x, 1, attributions=given)
        assert found.curves["selectivity"].values.shape == (2, players + 1)
        np.testing.assert_allclose(found.curves["selectivity"].at[0], np.linspace(0, 1, players + 1))


def test_orders_say_what_is_better(models) -> None:
    better = {order: RegionPerturbation(order=order).higher_is_better for order in ("morf", "lerf", "random")}
    assert better == {"morf": True, "lerf": False, "random": None}
    assert [ox.metrics.ROAD(order=order).higher_is_better for order in ("morf", "lerf")] == [False, True]
    explainer, x = ox.Explainer(models.mlp()), models.random(2, 5)
    drawn = [
        RegionPerturbation(order="random", seed=s)(explainer, x, 0, attributions=v).values
        for s, v in ((0, x), (0, -x), (1, x))
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).all()
    with pytest.raises(MethodError, match="RegionPerturbation: order is 'best'; give 'morf', 'lerf'"):
        RegionPerturbation(order="best")
    with pytest.raises(OptionError, match="patch_size is 0"):
        Selectivity(patch_size=0)


def test_irof(models) -> None:
    """Segments by their mean, the rest of each channel's mean in their places; in a batch as one by one."""
    explainer = ox.Explainer(models.conv(softmax=True))
    x = models.random(3, 2, 8, 8, seed=11)
    x[1] = 0
    x[1, :, 5:, 5:] = 1
    x[2, :, :4] = 3
    given: Any = {"attributions": np.abs(models.random(3, 2, 8, 8, seed=12)), "through_softmax": True}
    segments = ox.Segments(6, compactness=0.1, sigma=0.0)
    ids = segments.ids(x, "'x'")
    found = IROF()(explainer, x, 1, feature_mask=segments, **given)
    assert len({len(np.unique(each)) for each in ids}) > 1, "the test sees other numbers of segments"
    assert not found.notes
    for n, one in enumerate(x):
        groups = [np.flatnonzero(ids[n].ravel() == k) for k in range(ids[n].max() + 1)]
        means = [given["attributions"][n].ravel()[group].mean() for group in groups]
        order = sorted(range(len(groups)), key=lambda player: -means[player])
        mean = np.broadcast_to(one.mean((1, 2), keepdims=True), one.shape)
        values = curve(scores_of(explainer, 1), one, mean, groups, order)
        shares = [v / values[0] for v in values]
        np.testing.assert_allclose(found.values[n], 1 - mean_of(shares, len(groups)), rtol=1e-4, atol=1e-5)
        alone = IROF()(
            explainer, x[n : n + 1], 1, feature_mask=segments, through_softmax=True,
            attributions=given["attributions"][n : n + 1],
        )  # fmt: skip
        np.testing.assert_allclose(alone.values[0], found.values[n], rtol=1e-5)
    usual = IROF(n_segments=9)(explainer, x[:1], 1, "saliency", through_softmax=True)
    named = IROF()(
        explainer, x[:1], 1, "saliency", through_softmax=True, feature_mask=ox.Segments(9, sigma=0.0)
    )
    np.testing.assert_array_equal(usual.values, named.values)
    pooled = IROF()(explainer, x, 1, "feature_ablation", feature_mask=segments, through_softmax=True)
    maps = explainer(x, 1, "feature_ablation", feature_mask=segments, through_softmax=True)
    ready = IROF()(explainer, x, 1, attributions=maps, feature_mask=segments, through_softmax=True)
    np.testing.assert_array_equal(pooled.values, ready.values)


def test_irof_of_scores_below_zero(models) -> None:
    explainer = ox.Explainer(models.linear([[1.0, 2.0, 3.0]]))
    x = np.array([[1, 1, 1], [-1, -1, -1], [1, 1, -1]], np.float32)
    found = IROF()(explainer, x, 0, attributions=x)
    np.testing.assert_allclose(found.values, [1 - (1 / 2 + 5 / 6 + 3 / 6 + 0) / 3, np.nan, np.nan])
    assert "score of sample 1, 2 is not above 0" in found.notes[0]
    with pytest.raises(OptionError, match="n_segments"):
        IROF(n_segments=0)


def test_monotonicity(models) -> None:
    """As AI Explainability 360 has it: all differences behind the first feature."""
    explainer, score = ox.Explainer(models.mlp()), None
    x, given = models.random(40, 5, seed=3), models.random(40, 5, seed=4)
    found = Monotonicity()(explainer, x, 0, attributions=given, baselines=0.1)
    score = scores_of(explainer, 0)
    for n in range(40):
        now, values = np.full(5, 0.1, np.float32), []
        for k in np.argsort(given[n]):
            now[k] = x[n, k]
            values.append(score(now))
        steps = np.diff(values) >= 0
        assert found.values[n] == steps.all()
        assert found.extras["share"][n] == pytest.approx(steps.mean())
    assert 0 < found.mean < 1
    two = Monotonicity(features_in_step=2)(explainer, x, 0, attributions=given)
    assert two.curves["monotonicity"].values.shape == (40, 4)
    assert set(np.round(two.extras["share"] * 2)) <= {0, 1, 2}


def test_monotonicity_at_its_ends(models) -> None:
    x = np.ones((1, 4), np.float32)
    for weights, value in (
        ([1.0, 2.0, 0.0, 3.0], 1),
        ([1.0, 2.0, -0.1, 3.0], 0),
        ([1.0, 2.0, -1e-9, 3.0], 1),
    ):
        explainer = ox.Explainer(models.linear([weights]))
        found = Monotonicity()(explainer, x, 0, attributions=np.array([[1.0, 2.0, 3.0, 4.0]]))
        assert found.values[0] == value
    small = ox.Explainer(models.linear([[1.0, -1e-3, 2.0, 0.5]]))
    loose, strict = (
        Monotonicity(tolerance=t)(small, x, 0, attributions=np.arange(4.0)[None]) for t in (1e-2, 1e-4)
    )
    assert (loose.values[0], strict.values[0], strict.extras["share"][0]) == (1, 0, 2 / 3)
    once = Monotonicity(features_in_step=4)(explainer, x, 0, attributions=x)
    assert np.isnan(once.values[0])
    assert np.isnan(once.extras["share"][0])
    assert "sample 0 is put back in a single step" in once.notes[0]


def test_pixels_are_what_leaves_from_images(conv, images, a, models) -> None:
    for metric in (Deletion(), Insertion(), SRG()):
        usual = metric(conv, images, 1, attributions=a)
        named = metric(conv, images, 1, attributions=a, feature_mask="pixels")
        apart = metric(conv, images, 1, attributions=a, feature_mask="elements")
        np.testing.assert_array_equal(usual.values, named.values)
        assert (usual.values != apart.values).all()
        assert next(iter(usual.curves.values())).values.shape[1] == 65
    last = ox.Explainer(models.channels_last())
    turned = Deletion()(last, images.transpose(0, 2, 3, 1), 1, attributions=a.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(turned.values, Deletion()(conv, images, 1, attributions=a).values, rtol=1e-5)


def test_samples_in_which_nobody_plays(models) -> None:
    explainer, x = ox.Explainer(models.mlp(softmax=True)), models.random(3, 5)
    mask = np.array([[0, 1, 2, 3, 4], [-1] * 5, [0, 0, -1, 1, 2]])
    for metric in (
        PixelFlipping(), Deletion(), Insertion(), SRG(), RegionPerturbation(), Selectivity(), IROF(),
        Monotonicity(),
    ):  # fmt: skip
        found = metric(explainer, x, 1, attributions=x, feature_mask=mask, through_softmax=True)
        assert np.isnan(found.values).tolist() == [False, True, False], metric
        assert any("nobody plays in sample 1" in note for note in found.notes)
        alone = metric(explainer, x[2:], 1, attributions=x[2:], feature_mask=mask[2:], through_softmax=True)
        np.testing.assert_allclose(alone.values[0], found.values[2], rtol=1e-5, err_msg=metric.name)


def test_players_of_the_method_and_of_the_metric(conv, images) -> None:
    """Where they are the same, a player's number is its own; where not, the sum over its elements."""
    mask = np.repeat(np.arange(5), (1, 2, 5, 16, 40)).reshape(1, 8, 8)
    lost = conv(images, 1, "feature_ablation", feature_mask=mask)
    sizes = np.bincount(mask.ravel())[mask] * 2
    for given, elements in ((None, lost.values / sizes), ({"feature_mask": "elements"}, None)):
        apart = conv(images, 1, "feature_ablation").values if elements is None else elements
        found = Deletion()(conv, images, 1, "feature_ablation", feature_mask=mask, explain_options=given)
        ready = Deletion()(conv, images, 1, attributions=apart, feature_mask=mask)
        np.testing.assert_allclose(found.values, ready.values, rtol=1e-6)


def test_blocks_do_not_matter(conv, images, a) -> None:
    for metric in (Deletion(), SRG(), RegionPerturbation(2), Selectivity(2)):
        whole = metric(conv, images, [0, 1, 2], attributions=a).values
        for size in (2, 7):
            small = metric(conv, images, [0, 1, 2], attributions=a, internal_batch_size=size).values
            np.testing.assert_allclose(small, whole, rtol=1e-4, atol=1e-5)

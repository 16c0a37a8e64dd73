"""Masks whose optimum is known, and the slope that leads there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.methods.perturbation import meaningful

NET = "m (float[N, 2] x) => (float[N, 1] y) {{ {} }}"
ONES = np.ones((2, 2), np.float32)


def saturation(models: Any) -> ox.Explainer:
    body = "s = ReduceSum(x, axis) a = Sub(one, s) r = Relu(a) y = Sub(one, r)"
    return ox.Explainer(models.make(NET.format(body), axis=np.array([1]), one=1.0))


def test_either_of_two_that_stand_in_for_each_other(models) -> None:
    """y = min(1, i1 + i2) at (1, 1): both must go; of both together one is enough.

    From the input itself no gradient leads away; masks that begin lower find the way.
    """
    explainer = saturation(models)
    gone = explainer(ONES, None, "meaningful_perturbation", learning_rate=0.02, init=0.4)
    np.testing.assert_allclose(gone.values, 1, atol=0.03)
    options = {"learning_rate": 0.001, "n_steps": 400, "init": 0.4}
    kept = explainer(ONES, None, "meaningful_perturbation", game="preservation", **options)
    np.testing.assert_allclose(kept.values.sum(1), 1, atol=0.05)
    np.testing.assert_allclose(kept.extras["history"]["score"][:, -1], 1, atol=0.05)


def test_what_is_not_needed_stays_or_goes(models) -> None:
    """y = 2 i1 - i2 at (1, 1): to lower the score only the first goes; to keep it, only that stays."""
    explainer = ox.Explainer(models.make(NET.format("y = MatMul(x, w)"), w=[[2.0], [-1.0]]))
    for game in ("deletion", "preservation"):
        found = explainer(ONES, None, "meaningful_perturbation", game=game, n_steps=60, bounded=False)
        np.testing.assert_array_equal(found.values, [[1, 0], [1, 0]])


def test_a_bounded_game_stops_where_nothing_is_gained(models) -> None:
    """y = 2 i1 - i2 at (1, 1), from 1 to 0: half of the first is enough."""
    explainer = ox.Explainer(models.make(NET.format("y = MatMul(x, w)"), w=[[2.0], [-1.0]]))
    found = explainer(ONES, None, "meaningful_perturbation", learning_rate=0.002, init=1.0, n_steps=400)
    np.testing.assert_allclose(found.values, [[0.5, 0], [0.5, 0]], atol=0.03)
    history = found.extras["history"]
    assert history["score"].shape == (2, 401)
    np.testing.assert_allclose(history["score"][:, [0, -1]], [[1, 0]] * 2, atol=0.05)
    assert history["loss"].shape == (2, 400)


def test_a_group_has_one_number(models) -> None:
    x = models.random(2, 2, 8, 8, seed=3)
    mask = np.arange(64).reshape(8, 8) // 16
    found = ox.explain(
        models.conv(), x, 1, "meaningful_perturbation", feature_mask=mask, n_steps=20, baselines=0
    )
    groups = found.values.transpose(0, 2, 3, 1).reshape(2, 4, -1)
    assert (np.ptp(groups, axis=2) == 0).all()
    np.testing.assert_allclose(groups[:, :, 0], 1 - found.extras["mask"]["players"], atol=1e-6)


def test_images_are_compared_with_their_blur_unless_told_otherwise(models) -> None:
    x = models.random(2, 2, 8, 8, seed=3)
    explainer = ox.Explainer(models.conv())
    method = ox.MeaningfulPerturbation(n_steps=5)
    usual, blurred, zero = (explainer(x, 1, method, baselines=b).values for b in (None, "blur", "zero"))
    np.testing.assert_array_equal(usual, blurred)
    assert np.abs(usual - zero).max() > 1e-3
    assert (usual == usual[:, :1]).all(), "channels share the mask"


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("game", ["deletion", "preservation"])
@pytest.mark.parametrize("grouped", [False, True])
def test_the_slope_is_that_of_the_loss(grouped, game, bounded, models, monkeypatch) -> None:
    """Central differences of the whole loss, at a mask that is neither 0 nor 1, on a smooth model."""
    seen: dict[str, Any] = {}

    def look(self: Any, problem: Any, space: Any, bar: Any) -> Any:
        made = meaningful._Game(self, problem, space)
        rng = np.random.default_rng(0)
        mask = {k: rng.uniform(0.3, 0.7, m.shape) for k, m in made.start().items()}
        shift = np.array([1, 0, 2, 0, 0, 0, 0, 0])
        _, _, slope = made.at(mask, shift)
        for name, m in mask.items():
            for place in list(np.ndindex(m.shape))[::3]:
                ends = []
                for step in (1e-3, -1e-3):
                    moved = {k: v.copy() for k, v in mask.items()}
                    moved[name][place] += step
                    ends.append(made.at(moved, shift)[1][place[0]])
                seen[name, place] = slope[name][place], (ends[0] - ends[1]) / 2e-3
        return meaningful.Found({k: np.zeros_like(v) for k, v in problem.features.items()})

    monkeypatch.setattr(ox.MeaningfulPerturbation, "_found", look)
    model = models.make(
        "m (float[N, 2, 6, 8] x) => (float[N, 1] y) "
        "{ t = Tanh(x) f = Flatten(t) z = MatMul(f, w) y = Tanh(z) }",
        w=0.05 * np.abs(models.random(96, 1)),
    )
    method = ox.MeaningfulPerturbation(game=game, bounded=bounded, mask_size=4, tv=0.5, l1=0.05)
    mask = np.arange(48).reshape(6, 8) // 7 if grouped else None
    x = np.abs(models.random(2, 2, 6, 8, seed=5))
    ox.explain(model, x, method=method, baselines=0, feature_mask=mask)
    assert len(seen) > 4
    found, known = np.array(list(seen.values())).T
    np.testing.assert_allclose(found, known, rtol=0.02, atol=1e-3 * np.abs(known).max())


def test_random_numbers_do_not_depend_on_blocks(models) -> None:
    x = models.random(3, 2, 8, 8, seed=3)
    explainer = ox.Explainer(models.conv())
    free, one = (
        explainer(x, 1, "meaningful_perturbation", n_steps=5, internal_batch_size=size) for size in (None, 1)
    )
    np.testing.assert_allclose(free.values, one.values, atol=1e-5)
    other = explainer(x, 1, "meaningful_perturbation", n_steps=5, seed=1)
    assert np.abs(free.values - other.values).max() > 1e-4


@pytest.mark.parametrize("mask", ["tokens", None])
def test_tokens_get_a_part_each(mask, models) -> None:
    """From 0 to 1, whatever the length of their embedding."""
    ids = np.array([[3, 5, 7, 1], [2, 2, 9, 0]])
    explainer = ox.Explainer(models.tokens())
    inputs = {"ids": ids, "mask": np.ones_like(ids)}
    found = explainer(inputs, 1, "meaningful_perturbation", feature_mask=mask, n_steps=20)
    assert found.values.min() >= 0
    assert 0.5 < found.values.max() <= 1.0001
    if mask:
        np.testing.assert_allclose(found.values, 1 - found.extras["mask"]["players"], atol=1e-5)


def test_axes_that_are_none(models) -> None:
    with pytest.raises(ox.errors.DataInputError, match="axis 5 of 'x' cannot be meant: it has 2 axes"):
        ox.explain(models.mlp(), models.random(2, 5), 1, "meaningful_perturbation", axes=5)

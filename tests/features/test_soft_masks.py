"""Soft masks: the way back is the transpose of the way out, and roughness has the slope that it says."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.features.players import Players
from onnxplain.features.soft_masks import OfPlayers, canvas, roughness

SHAPES = [
    ((3, 9, 12), (1, 2)),
    ((9, 12, 3), (0, 1)),
    ((2, 5, 6, 7), (1, 2, 3)),
    ((4, 30), (1,)),
    ((5, 3), None),
]


@pytest.mark.parametrize(("shape", "axes"), SHAPES)
def test_gathering_is_the_transpose_of_spreading(shape, axes) -> None:
    rng = np.random.default_rng(0)
    made = canvas(shape, axes, 4, 0.7, 3)
    shift = np.array([0, 3, 1])
    mask, gradient = rng.random((2, *made.cells)), rng.standard_normal((2, *shape))
    out = np.broadcast_to(made.spread(mask, shift), gradient.shape)
    back = made.gather(gradient, shift)
    assert back.shape == mask.shape
    np.testing.assert_allclose((out * gradient).sum(), (mask * back).sum(), rtol=1e-12)


@pytest.mark.parametrize(("shape", "axes"), SHAPES)
def test_masks_stay_between_their_numbers(shape, axes) -> None:
    made = canvas(shape, axes, 4, 0.7, 3)
    shift = np.zeros(3, int)
    np.testing.assert_allclose(made.spread(np.full((1, *made.cells), 0.3), shift), 0.3)
    out = made.spread(np.random.default_rng(0).random((1, *made.cells)), shift)
    assert out.min() >= 0
    assert out.max() <= 1


def test_a_shift_moves_the_canvas() -> None:
    made = canvas((20,), (0,), 5, 0.5, 3)
    mask = np.random.default_rng(0).random((1, 5))
    here, there = (made.spread(mask, np.array([k])) for k in (0, 3))
    np.testing.assert_allclose(here[:, 3:], there[:, :-3])


def test_without_smoothing_cells_are_interpolated() -> None:
    found = canvas((8,), (0,), 4, 0.0, 0).spread(np.array([[0.0, 1, 0, 0]]), np.array([0]))
    np.testing.assert_allclose(found, [[0, 0.25, 0.75, 0.75, 0.25, 0, 0, 0]])


def test_players_have_a_number_each() -> None:
    rng = np.random.default_rng(0)
    ids = {"a": np.array([[0, 0, 2], [1, -1, 2]]), "b": np.array([[1, 2]])}
    made = OfPlayers(Players(ids, 3))
    mask = rng.random((2, 3))
    out = made.spread(mask)
    assert out["a"][1].tolist() == [mask[1, 1], 1, mask[1, 2]]
    gradients = {k: rng.standard_normal((2, ids[k].shape[1])) for k in ids}
    fixed = {k: np.where(ids[k] < 0, 0.0, v) for k, v in out.items()}
    total = sum(float((fixed[k] * gradients[k]).sum()) for k in ids)
    np.testing.assert_allclose(total, (mask * made.gather(gradients)).sum(), rtol=1e-12)


@pytest.mark.parametrize("beta", [1.5, 2.0, 3.0])
@pytest.mark.parametrize("shape", [(2, 6), (2, 4, 5), (1, 3, 4, 3)])
def test_the_slope_of_roughness(shape, beta) -> None:
    mask = np.random.default_rng(1).random(shape)
    total, slope = roughness(mask, beta)
    assert total.shape == shape[:1]
    for place in np.ndindex(shape):
        ends = []
        for step in (1e-6, -1e-6):
            moved = mask.copy()
            moved[place] += step
            ends.append(roughness(moved, beta)[0].sum())
        np.testing.assert_allclose(slope[place], (ends[0] - ends[1]) / 2e-6, rtol=1e-4, atol=1e-6)


def test_total_variation_of_a_known_mask() -> None:
    total, _ = roughness(np.array([[[0.0, 1.0], [0.5, 1.0]]]), 3)
    np.testing.assert_allclose(total, [(0.25 + 1) ** 1.5 + 0.5**3])

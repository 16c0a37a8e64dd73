"""Windows that change nothing are not asked about, and lose nothing; all others are."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.runtime.plans import run as running


def _everything(explainer, *args, **options):
    """Explain with every window asked about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "telling", lambda plan, problem: plan)
        return explainer(*args, **options)


@pytest.mark.parametrize(
    "window", [((2, 3, 3), (1, 1, 1)), ((1, 4, 2), (1, 2, 2)), ((2, 8, 1), (2, 5, 1)), ()]
)
def test_only_windows_that_change_a_row_are_asked_about(window, models, rows) -> None:
    explainer, x = ox.Explainer(models.conv()), np.zeros((2, 2, 8, 8), np.float32)
    x[0, :, 2:4, 3], x[1, 1, 7, 7] = 1.5, -2
    every = _everything(explainer, x, 1, ox.Occlusion(*window))
    before = sum(rows)
    found = explainer(x, 1, ox.Occlusion(*window))
    assert sum(rows) - before < before - 2
    np.testing.assert_allclose(found.values, every.values, rtol=0, atol=1e-6 * np.abs(every.values).max())
    assert np.abs(found.values).max() > 0


def test_how_many_are_asked_about(models, rows) -> None:
    explainer, x = ox.Explainer(models.conv()), np.full((1, 2, 8, 8), 0.5, np.float32)
    x[0, 0, 0, 0] = x[0, 1, 7, 7] = 1  # in one window each, of 49
    found = explainer(x, 1, ox.Occlusion((2, 2, 2), (2, 1, 1)), baselines=0.5)
    assert sum(rows) == 1 + 2
    assert np.flatnonzero(np.abs(found.values).sum((0, 1)).ravel()).tolist() == [0, 1, 8, 9, 54, 55, 62, 63]


def test_nothing_changes(models, rows) -> None:
    explainer, x = ox.Explainer(models.conv()), np.full((2, 2, 8, 8), 0.5, np.float32)
    found = explainer(x, 1, ox.Occlusion(3), baselines=0.5)
    assert sum(rows) == 2
    assert found.values.shape == x.shape
    assert found.values.dtype == np.float32
    assert not found.values.any()


def test_minus_zero_is_another_number(models, rows) -> None:
    explainer, x = ox.Explainer(models.conv()), np.full((1, 2, 8, 8), -0.0, np.float32)
    explainer(x, 1, ox.Occlusion((2, 4, 4), (2, 4, 4)))
    assert sum(rows) == 1 + 4


def test_inputs_that_stay_the_same_lose_nothing(models) -> None:
    explainer = ox.Explainer(models.two_inputs())
    x = {"image": np.zeros((3, 2, 4), np.float32), "table": models.random(3, 3, seed=1)}
    method = ox.Occlusion(((1, 2), (1,)), ((1, 2), (1,)))
    found, every = explainer(x, 1, method), _everything(explainer, x, 1, method)
    assert not found.values["image"].any()
    for name, values in every.values.items():
        np.testing.assert_allclose(found.values[name], values, rtol=0, atol=1e-6)

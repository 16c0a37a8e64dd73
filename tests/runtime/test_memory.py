"""How many samples run at once."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.runtime.memory import LARGEST_BATCH, LARGEST_FORWARD, MemoryModel


def memory(proto) -> MemoryModel:
    return MemoryModel(normalize(load(proto)).model)


def test_estimate_counts_every_float(models) -> None:
    """One sample of (1, 5): a and h of 8, y of 3, four bytes each; the point itself, three times."""
    assert memory(models.mlp()).bytes_per_sample({"x": (1, 5)}) == 4 * (8 + 8 + 3) + 3 * 4 * 5


def test_estimate_follows_symbolic_sizes(models) -> None:
    model = memory(models.make("m (float[N, C, H, W] x) => (float[N, C, H, W] y) { h = Exp(x) y = Tanh(h) }"))
    assert model.bytes_per_sample({"x": (1, 2, 4, 4)}) == (2 + 3) * 4 * 32
    assert model.bytes_per_sample({"x": (1, 2, 8, 8)}) == (2 + 3) * 4 * 128


def test_batch_size_fits_the_budget(models) -> None:
    model = memory(models.mlp())
    one = model.bytes_per_sample({"x": (1, 5)})
    for ask, times, most in ((ox.Walk(), 2, LARGEST_BATCH), (ox.Scores(), 1, LARGEST_FORWARD)):
        for budget, expected in ((0, 1), (one, 1), (10 * times * one + 1, 10), (10**12, most)):
            assert model.batch_size({"x": (1, 5)}, budget, ask) == expected


def test_budget_bounds_what_runs(models, rows) -> None:
    one = memory(models.conv()).bytes_per_sample({"x": (1, 2, 8, 8)})
    explainer = ox.Explainer(models.conv(), memory_budget=3 * 2 * one)
    explainer(models.random(7, 2, 8, 8), 0, "saliency")
    assert rows == [3, 3, 1]
    rows.clear()
    explainer(models.random(2, 2, 8, 8), 0, "integrated_gradients", n_steps=4)
    assert max(rows) <= 3
    assert sum(rows) == 2 + 2 + 2 * 4


@pytest.mark.parametrize(("rule", "expected"), [("rescale", [5, 2]), ("reveal_cancel", [3, 3, 1])])
def test_budget_counts_what_a_reference_takes(rule, expected, models, rows) -> None:
    one = memory(models.conv()).bytes_per_sample({"x": (1, 2, 8, 8)})
    explainer = ox.Explainer(models.conv(), memory_budget=15 * 2 * one)
    explainer(models.random(7, 2, 8, 8), 0, ox.DeepLift(rule))
    assert rows == expected


@pytest.mark.parametrize("method", ["integrated_gradients", "smooth_grad", "saliency"])
@pytest.mark.parametrize("size", [1, 4, 5])
def test_internal_batch_size_bounds_what_runs(method, size, models, rows) -> None:
    ox.explain(models.conv(), models.random(3, 2, 8, 8), 0, method=method, internal_batch_size=size)
    assert max(rows) <= size
    if method == "integrated_gradients":
        assert sum(rows) == 3 * 52


@pytest.mark.parametrize("batch", [1, 4])
def test_fixed_batches_are_filled(batch, models, rows) -> None:
    ox.explain(models.conv(batch=str(batch)), models.random(6, 2, 8, 8), 0, method="saliency")
    assert set(rows) == {batch}
    assert len(rows) == -(-6 // batch)


def test_inputs_without_a_batch_axis_stay_whole(models, rows) -> None:
    model = models.make("m (float[N, 3] x, float[3, 2] w) => (float[N, 2] y) { y = MatMul(x, w) }")
    found = ox.explain(
        model,
        {"x": np.ones((5, 3)), "w": models.random(3, 2)},
        1,
        method="saliency",
        wrt="x",
        internal_batch_size=2,
    )
    assert rows == [2, 2, 1]
    np.testing.assert_allclose(found.values, np.tile(np.abs(models.random(3, 2)[:, 1]), (5, 1)))

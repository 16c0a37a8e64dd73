"""Evaluations of samples that are measured some at a time: nothing of a block is lost."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox


@pytest.fixture(scope="module")
def conv(models) -> ox.Explainer:
    return ox.Explainer(models.conv())


@pytest.fixture(scope="module")
def x(models) -> np.ndarray:
    return models.random(5, 2, 8, 8, seed=11)


def test_the_clock_runs_for_all_samples(conv, x, monkeypatch) -> None:
    ticks = iter(range(1000))
    monkeypatch.setattr("onnxplain.evaluation.rows.perf_counter", lambda: next(ticks))
    found = ox.evaluate(conv, x, 1, ["saliency"], ["sparseness"], block_size=2)
    assert found.seconds["saliency"] == 3  # one tick for each block


def test_places_of_curves_keep_their_names(conv, x, tmp_path) -> None:
    for size in (None, 2):
        found = ox.evaluate(conv, x, 1, ["saliency"], ["mprt"], block_size=size, resume=tmp_path / "kept")
        again = ox.evaluate(conv, x, 1, ["saliency"], ["mprt"], block_size=size, resume=tmp_path / "kept")
        found.save(tmp_path / "found.npz")
        for one in (found, again, ox.Evaluation.load(tmp_path / "found.npz")):
            names = one["saliency", "mprt"].curves["layers"].names
            assert names[0] == "(none)"
            assert len(names) == one["saliency", "mprt"].curves["layers"].values.shape[1]

"""Exported files run in Node.js, in the stock onnxruntime-node of npm.

``ONNXPLAIN_NODE_DIR`` names a folder in which onnxruntime-node is, or is to be, installed; without it, one in
pytest's cache is used.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exported_digits import COMPOSITES, ONE_PASS, PLANS, feeds, same, write
from runtimes import run_in_node

import onnxplain as ox
from onnxplain.data import digits_model_path, digits_samples

pytestmark = pytest.mark.node


@pytest.fixture
def modules(npm) -> Path:
    """Folder of onnxruntime-node."""
    return npm("onnxruntime-node")


@pytest.mark.parametrize("method", [*ONE_PASS, *(ox.LRP(c) for c in COMPOSITES)], ids=str)
def test_the_digits_explain_themselves_in_node(method, modules, tmp_path) -> None:
    images, labels = digits_samples()
    path = ox.export(digits_model_path(), tmp_path / "digits.onnx", method=method).path
    chosen = ((images[:3], labels[:3]), (images[3:4], labels[3:4]), (images[:3], (labels[:3] + 1) % 10))
    outputs = run_in_node(modules, path, [{"image": i, "target": t} for i, t in chosen], tmp_path)
    for (image, target), found in zip(chosen, outputs, strict=True):
        expected = ox.explain(digits_model_path(), image, target.tolist(), method=method)
        scale = np.abs(expected.values).max()
        assert np.abs(found["attribution/image"] - expected.values).max() < 1e-4 * scale
        assert np.abs(found["probabilities"] - expected.predictions).max() < 1e-4
    first, other_image, other_target = (o["attribution/image"] for o in outputs)
    assert np.abs(first[:1] - other_image).max() > 0.05 * np.abs(first).max()
    if method != "visual_backprop":  # whose mask is the same for all targets
        assert np.abs(first - other_target).max() > 0.05 * np.abs(first).max()


@pytest.mark.parametrize("name", PLANS)
def test_plans_in_node(name, modules, tmp_path) -> None:
    asked = [feeds(2), feeds(1), feeds(2, turn=1)]
    for given, found in zip(
        asked, run_in_node(modules, write(PLANS[name], tmp_path), asked, tmp_path), strict=True
    ):
        same(PLANS[name], given, found)


def test_tokens_in_node(modules, models, tmp_path) -> None:
    path = ox.export(models.tokens(), tmp_path / "tokens.onnx", method="input_x_gradient").path
    rng = np.random.default_rng(0)
    feeds = {"ids": rng.integers(0, 20, (2, 5)), "mask": np.ones((2, 5), np.int64)}
    (found,) = run_in_node(modules, path, [{**feeds, "target": np.array([0, 2])}], tmp_path)
    expected = ox.explain(models.tokens(), feeds, [0, 2], method="input_x_gradient").values
    np.testing.assert_allclose(found["attribution/ids"], expected, rtol=1e-4, atol=1e-6)

"""Every metric, by being registered: in blocks, and of explanations that were made before."""

from __future__ import annotations

import numpy as np
import pytest
from measures import ALL, made, measure, needs

import onnxplain as ox
from onnxplain.metrics import METRICS


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    made = np.zeros((3, 1, 8, 8), bool)
    made[:, :, 2:6, 3:7] = True
    return made


def test_in_blocks_and_by_itself_a_metric_says_the_same(models, masks) -> None:
    conv, x = ox.Explainer(models.conv(softmax=True)), models.random(3, 2, 8, 8, seed=11)
    metrics = [made(name) for name in ALL]
    whole, cut = (
        ox.evaluate(conv, x, [0, 1, 2], ["input_x_gradient"], metrics, masks=masks, block_size=size)
        for size in (None, 2)
    )
    assert not whole.failures
    assert not cut.failures
    for name, metric in zip(ALL, metrics, strict=True):
        assert METRICS[name].apart == measure(name).apart
        alone = metric(conv, x, [0, 1, 2], "input_x_gradient", **needs(name, masks))
        found = whole["input_x_gradient", name]
        np.testing.assert_array_equal(found.values, alone.values, err_msg=name)
        assert found.notes == alone.notes
        np.testing.assert_allclose(
            cut["input_x_gradient", name].values, alone.values, rtol=2e-3, atol=1e-4, err_msg=name
        )

"""``ai.onnxplain::GeluBackward`` against the same in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
from onnx import helper

from onnxplain.graph.passes.lower import DOMAIN

F = np.float32


def node(**attributes):
    return [helper.make_node("GeluBackward", ["x", "g"], ["made"], domain=DOMAIN, **attributes)]


def slope(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    tails = np.array([math.erfc(-v / math.sqrt(2)) for v in x.ravel()]).reshape(x.shape)
    return tails / 2 + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def test_slopes(graphs) -> None:
    x = np.concatenate([np.linspace(-15, 15, 40001), [0.0, -0.0, 1e-30, -1e-30, 1e30, -1e30]]).astype(F)
    found = graphs.run(node(factor=[1.0]), {"x": x, "g": np.ones_like(x)})
    np.testing.assert_allclose(found, slope(x), rtol=0, atol=4e-7)


@pytest.mark.parametrize("given", [(3, 40, 200), (200,), (40, 1), ()], ids=str)
def test_what_arrives_is_repeated(given, graphs) -> None:
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(3, 40, 200)).astype(F), np.array(rng.normal(size=given), F)
    found = graphs.run(node(factor=[-2.0]), {"x": x, "g": g})
    np.testing.assert_allclose(found, -2 * g * slope(x), rtol=0, atol=1e-6 * np.abs(g).max())


def test_what_is_no_number(graphs) -> None:
    """It is what the written-out slope makes of it: infinity times 0 is no number."""
    x = np.array([np.nan, np.inf, -np.inf, 0, 1], F)
    found = graphs.run(node(factor=[1.0]), {"x": x, "g": np.ones_like(x)})
    assert np.isnan(found).tolist() == [True, True, True, False, False]
    g = np.array([np.nan, np.inf, 0], F)
    found = graphs.run(node(factor=[1.0]), {"x": np.ones_like(g), "g": g})
    assert np.isnan(found[0])
    assert np.isinf(found[1])
    assert found[2] == 0


def test_it_may_be_empty(graphs) -> None:
    x = np.ones((2, 0, 3), F)
    assert graphs.run(node(factor=[1.0]), {"x": x, "g": x}).shape == (2, 0, 3)


def test_what_does_not_fit_is_a_named_error(graphs) -> None:
    with pytest.raises(Exception, match="factor must be one number"):
        graphs.session(node(factor=[1.0, 2.0]), "xg", "made")
    with pytest.raises(Exception, match="GeluBackward: the gradient has no shape that fits the values"):
        graphs.run(node(factor=[1.0]), {"x": np.ones(3, F), "g": np.ones(4, F)})

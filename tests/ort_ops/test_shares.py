"""``ai.onnxplain::GiveAll`` against the same in NumPy, in double precision."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from onnx import helper

from onnxplain.graph.passes.lower import DOMAIN

CASES = [  # shapes of relevance and of what is given, axes of a row in both
    ((3, 4), (3, 5), [1], [1]),
    ((3, 70), (3, 33), [1], [1]),
    ((4, 3), (5, 3), [0], [0]),
    ((2, 3, 4, 5), (2, 6, 4, 5), [1], [1]),
    ((2, 3, 4, 5), (2, 2, 6, 7), [1, 2, 3], [1, 2, 3]),
    ((2, 3, 2, 700), (2, 4, 5, 700), [1, 2], [1, 2]),
    ((2, 40000), (2, 30), [1], [1]),
    ((2, 30), (2, 40000), [1], [1]),
    ((70000,), (35000,), [0], [0]),
    ((3, 1), (3, 5), [1], [1]),
    ((0, 4), (0, 5), [1], [1]),
    ((3, 0), (3, 5), [1], [1]),
    ((3, 4), (3, 0), [1], [1]),
    ((3, 4, 0), (3, 5, 0), [1], [1]),
]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def node(above, below):
    return [helper.make_node("GiveAll", ["r", "g"], ["made"], domain=DOMAIN, above=above, below=below)]


def given_all(r: np.ndarray, g: np.ndarray, above, below) -> np.ndarray:
    """Return it by rows, which are brought to the end."""
    r, g = r.astype(np.float64), g.astype(np.float64)
    size = np.abs(g).sum(tuple(below), keepdims=True)
    missing = r.sum(tuple(above)) - g.sum(tuple(below))
    missing = missing.reshape(size.shape)
    n = max(int(np.prod([g.shape[a] for a in below])), 1)
    return g + missing * np.where(size == 0, 1 / n, np.abs(g) / np.where(size == 0, 1, size))


@pytest.mark.parametrize(("arrives", "shape", "above", "below"), CASES, ids=str)
def test_shares(arrives, shape, above, below, graphs) -> None:
    r, g = numbers(*arrives), numbers(*shape, seed=1)
    if len(shape) == 2 and g.size:
        g[0] = 0  # a row that got nothing
    found, expected = graphs.run(node(above, below), {"r": r, "g": g}), given_all(r, g, above, below)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max(initial=0))


def test_nothing_is_kept(graphs) -> None:
    r, g = numbers(50, 300), numbers(50, 200, seed=1)
    found = graphs.run(node([1], [1]), {"r": r, "g": g}).astype(np.float64)
    np.testing.assert_allclose(found.sum(1), r.astype(np.float64).sum(1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("row", [[1], [1, 2]], ids=str)
def test_threads_at_once_find_the_same(row, graphs) -> None:
    feeds = {"r": numbers(2, 60, 900), "g": numbers(2, 50, 900, seed=1)}
    session = graphs.session(node(row, row), "rg", "made")
    expected = session.run(None, feeds)[0]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: session.run(None, feeds)[0], range(20)):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("above", "below"), [([], [1]), ([1], [0, 2]), ([-1], [1]), ([1, 0], [1])])
def test_no_axes_are_a_named_error(above, below, graphs) -> None:
    with pytest.raises(Exception, match=r"GiveAll: the axes .* do not lie|No attribute|above"):
        graphs.session(node(above, below), "rg", "made")


def test_shapes_that_do_not_fit_are_a_named_error(graphs) -> None:
    session = graphs.session(node([1], [1]), "rg", "made")
    with pytest.raises(Exception, match="relevance lies in 3 x 1 rows, and what inputs get in 2 x 1"):
        session.run(None, {"r": numbers(3, 4), "g": numbers(2, 4)})
    with pytest.raises(Exception, match="there are 1 axes, and a row has axis 1"):
        session.run(None, {"r": numbers(3), "g": numbers(2, 4)})
    session = graphs.session(node([1], [2]), "rg", "made")
    with pytest.raises(Exception, match="relevance lies in 2 x 3 rows, and what inputs get in 6 x 1"):
        session.run(None, {"r": numbers(2, 8, 3), "g": numbers(2, 3, 8)})

"""``ai.onnxplain::SoftmaxBackward`` and ``NormBackward`` against the same in NumPy, in double precision."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from onnx import helper

from onnxplain.graph.passes.lower import DOMAIN

F = np.float32
SHAPES = [(5,), (1, 1), (3, 16), (3, 17), (2, 3, 100), (0, 4), (3, 0), (2, 0, 5), (700, 130), (2, 70001)]


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.array(np.random.default_rng(seed).normal(size=shape), F)


def softmax(y: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, float]:
    """Return dx, and the size of what it is the difference of."""
    y, g = y.astype(np.float64), g.astype(np.float64)
    return y * (g - (g * y).sum(-1, keepdims=True)), np.abs(g * y).max(initial=0)


def norm(
    x, g, scale, axes: int, epsilon: float, *, centred: bool, constant: bool = False
) -> tuple[np.ndarray, float]:
    """Return dx, and the size of what it is the difference of."""
    x, g = x.astype(np.float64), g * np.float64(1) if scale is None else g.astype(np.float64) * scale
    last = tuple(range(x.ndim - axes, x.ndim))

    def mean(v: np.ndarray) -> np.ndarray:
        return v.sum(last, keepdims=True) / max(np.prod([v.shape[k] for k in last]), 1)

    c = x - mean(x) if centred else x
    inverse = 1 / np.sqrt(mean(c * c) + epsilon)
    n = c * inverse
    dx = inverse * (g - (mean(g) if centred else 0) - (0 if constant else n * mean(g * n)))
    return dx, np.abs(inverse * g).max(initial=0)


def node(kind: str, inputs: str = "xg", **attributes):
    return [helper.make_node(kind, list(inputs), ["made"], domain=DOMAIN, **attributes)]


def normalised(inputs: str = "xg", axes: int = 1, centred: int = 1, constant: int = 0, epsilon: float = 1e-5):
    flags = {"centred": [centred], "constant": [constant]}
    return node("NormBackward", inputs, axes=[axes], **flags, epsilon=[epsilon])


FLAGS = {"centred": [1], "constant": [0]}


def close(found: np.ndarray, expected: tuple[np.ndarray, float]) -> None:
    dx, size = expected
    assert found.shape == dx.shape
    assert found.dtype == F
    np.testing.assert_allclose(found, dx, rtol=0, atol=2e-6 * size)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_softmax(shape, graphs) -> None:
    y = np.exp(numbers(*shape))
    y /= y.sum(-1, keepdims=True)
    g = numbers(*shape, seed=1)
    close(graphs.run(node("SoftmaxBackward"), {"x": y, "g": g}), softmax(y, g))


@pytest.mark.parametrize("scaled", ["not", "one", "row"])
@pytest.mark.parametrize(("centred", "constant"), [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_normalisations(shape, centred, constant, scaled, graphs) -> None:
    feeds = {"x": numbers(*shape) + F(3), "g": numbers(*shape, seed=1)}
    if scaled != "not":
        feeds["s"] = numbers(shape[-1] if scaled == "row" else 1, seed=2)
    found = graphs.run(normalised("".join(feeds), centred=centred, constant=constant), feeds)
    kind = {"centred": bool(centred), "constant": bool(constant)}
    expected = norm(feeds["x"], feeds["g"], feeds.get("s"), 1, 1e-5, **kind)
    close(found, expected)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_rows_of_several_axes(axes, graphs) -> None:
    x, g = numbers(2, 3, 4, 5), numbers(2, 3, 4, 5, seed=1)
    found = graphs.run(normalised(axes=axes, epsilon=0.5), {"x": x, "g": g})
    close(found, norm(x, g, None, axes, 0.5, centred=True))


@pytest.mark.parametrize("given", [(3, 1), (7,), (1, 1), (1,), (2, 1, 7), ()], ids=str)
def test_what_arrives_is_repeated(given, graphs) -> None:
    x, g = np.abs(numbers(2, 3, 7)), numbers(*given, seed=1)
    wide = np.broadcast_to(g, x.shape)
    close(graphs.run(normalised(), {"x": x, "g": g}), norm(x, wide, None, 1, 1e-5, centred=True))
    close(graphs.run(node("SoftmaxBackward"), {"x": x, "g": g}), softmax(x, wide))


def test_what_is_no_number_stays_in_its_row(graphs) -> None:
    x, g = numbers(4, 20), numbers(4, 20, seed=1)
    x[1, 3], g[2, 5] = np.nan, np.inf
    for nodes in (node("SoftmaxBackward"), normalised()):
        found = graphs.run(nodes, {"x": x, "g": g})
        assert np.isfinite(found[[0, 3]]).all()
        assert not np.isfinite(found[[1, 2]]).all(-1).any()


def test_threads_at_once_find_the_same(graphs) -> None:
    feeds = {"x": numbers(300, 200), "g": numbers(300, 200, seed=1)}
    for nodes in (node("SoftmaxBackward"), normalised()):
        session = graphs.session(nodes, "xg", "made")
        expected = session.run(None, feeds)[0]
        rows = [session.run(None, {k: v[[row]] for k, v in feeds.items()})[0] for row in range(300)]
        np.testing.assert_array_equal(np.concatenate(rows), expected)  # rows do not know of one another
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(lambda _, s=session: s.run(None, feeds)[0], range(20)):
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        (normalised(axes=0), "axes must be one positive number"),
        (node("NormBackward", axes=[1, 2], **FLAGS, epsilon=[0.0]), "axes must be one positive number"),
        (node("NormBackward", axes=[1], **FLAGS, epsilon=[0.0, 1.0]), "must be one number each"),
        (node("NormBackward", axes=[1], **FLAGS), "No attribute with this name"),
    ],
)
def test_no_attributes_are_a_named_error(nodes, says, graphs) -> None:
    with pytest.raises(Exception, match=says):
        graphs.session(nodes, "xg", "made")


@pytest.mark.parametrize(
    ("nodes", "shapes", "says"),
    [
        (node("SoftmaxBackward"), [(3, 4), (3, 5)], "SoftmaxBackward: the gradient has no shape that fits"),
        (node("SoftmaxBackward"), [(4,), (3, 4)], "SoftmaxBackward: the gradient has no shape that fits"),
        (node("SoftmaxBackward"), [(), ()], "there are 0 axes, and a row has 1"),
        (normalised(axes=3), [(3, 4), (3, 4)], "there are 2 axes, and a row has 3"),
        (normalised("xgs"), [(3, 4), (3, 4), (3,)], "the scale has 3 numbers, and a row 4"),
    ],
)
def test_shapes_that_do_not_fit_are_a_named_error(nodes, shapes, says, graphs) -> None:
    feeds = {name: numbers(*shape) for name, shape in zip("xgs", shapes, strict=False)}
    with pytest.raises(Exception, match=says):
        graphs.run(nodes, feeds)

"""``ai.onnxplain::MaxPoolGrad`` and ``Interleave`` against plain twins, whatever the blocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from onnx import helper
from planes import blocked, interleaved, pooled, scattered, unblocked

from onnxplain.graph.passes.lower import DOMAIN

F = np.float32
POOLS = {
    "3x3 / 2": {"kernel_shape": [3, 3], "strides": [2, 2], "dilations": [1, 1], "begins": [1, 1]},
    "2x2 / 2": {"kernel_shape": [2, 2], "strides": [2, 2], "dilations": [1, 1], "begins": [0, 0]},
    "gaps": {"kernel_shape": [2, 1], "strides": [3, 2], "dilations": [1, 1], "begins": [0, 0]},
    "overlapping": {"kernel_shape": [3, 2], "strides": [1, 1], "dilations": [1, 2], "begins": [1, 0]},
    "dilated": {"kernel_shape": [2, 3], "strides": [1, 2], "dilations": [3, 2], "begins": [1, 2]},
}


def in_blocks(kind: str, inputs: list[np.ndarray], block: int, graphs, **attributes) -> np.ndarray:
    names = [f"x{k}" for k in range(len(inputs))]
    node = helper.make_node(kind, names, ["made"], domain=DOMAIN, **attributes, block=block)
    feeds = {name: blocked(x, block) for name, x in zip(names, inputs, strict=True)}
    return unblocked(graphs.run([node], feeds), block)


@pytest.mark.parametrize("name", POOLS)
def test_max_pool_grad(name, graphs) -> None:
    rng, described = np.random.default_rng(0), POOLS[name]
    for block, out in itertools.product((1, 4, 8, 16), ((3, 4), (1, 1), (3, 45))):
        shape = [(out[k] - 1) * described["strides"][k] + 3 for k in range(2)]
        x = rng.integers(0, 4, (2, 16, *shape)).astype(F)  # many are as large as others
        y = pooled(x, out, described)
        g = rng.normal(size=y.shape).astype(F)
        made = in_blocks("MaxPoolGrad", [x, y, g], block, graphs, **described)
        np.testing.assert_allclose(made, scattered(x, y, g, described), rtol=1e-6, atol=1e-6)


def test_what_is_not_finite_goes_to_the_maximum_alone(graphs) -> None:
    x, g = np.array([[[[1, 3], [3, 2]]]], F), np.array([[[[np.inf]]]], F)
    made = in_blocks("MaxPoolGrad", [x, x.max(keepdims=True), g], 1, graphs, **POOLS["2x2 / 2"])
    assert made.ravel().tolist() == [0, np.inf, 0, 0]


@pytest.mark.parametrize("strides", [(2, 2), (1, 3), (3, 1), (2, 3)])
def test_interleave(strides, graphs) -> None:
    rng = np.random.default_rng(1)
    for block, (height, width), few in itertools.product((1, 4, 8, 16), ((3, 4), (1, 1)), (False, True)):
        starts = list(itertools.product(range(strides[0]), range(strides[1])))
        starts = starts[: 1 + len(starts) // 2] if few else starts
        parts = [
            rng.normal(size=(2, 16, height + k % 2, width + k % 3)).astype(F) for k in range(len(starts))
        ]
        described = {"strides": list(strides), "begins": [b for s in starts for b in s], "ends": [1, 0]}
        made = in_blocks("Interleave", parts, block, graphs, **described)
        np.testing.assert_array_equal(made, interleaved(parts, **described))


def test_interleave_past_the_caches(graphs) -> None:
    """Rows are then written around them."""
    rng = np.random.default_rng(3)
    parts = [rng.random((1, 8, 512, 512 + k % 2), F) for k in range(4)]
    described = {"strides": [2, 2], "begins": [0, 1, 0, 0, 1, 1, 1, 0], "ends": [1, 2]}
    made = in_blocks("Interleave", parts, 1, graphs, **described)
    assert made.nbytes > 1 << 25
    np.testing.assert_array_equal(made, interleaved(parts, **described))


def test_elementwise_broadcasts_in_blocks(graphs) -> None:
    rng, block = np.random.default_rng(2), 8
    x, y, gate = (rng.normal(size=s).astype(F) for s in ((2, 16, 3, 4), (2, 16, 3, 4), (2, 16, 1, 1)))
    channel, one, row = (rng.normal(size=s).astype(F) for s in ((16, 1, 1), (1,), (2, 1, 3, 4)))
    program = [0, 0, 1, -1, 2, 7, 2, -1, 0, 8, 3, -1, 2, 9, 4, -1, 0, 10, 5, -1]
    (node,) = graphs.fused("abcdef", program)
    node.attribute.append(helper.make_attribute("block", block))
    feeds = {"a": blocked(x, block), "b": blocked(y, block), "c": gate, "d": channel, "e": one, "f": row}
    made = unblocked(graphs.run([node], feeds), block)
    np.testing.assert_array_equal(made, ((x + y) * gate + channel) * one + row)


ONE = (1, 8, 4, 4)
PARTS = {"strides": [2, 2], "ends": [0, 0]}
STEP = {"constants": [0.0], "block": 4}
WRONG = {
    "no window": ("MaxPoolGrad", [ONE] * 3, POOLS["gaps"] | {"strides": [0, 1]}, "at least 1"),
    "maxima": ("MaxPoolGrad", [ONE, (1, 8, 2, 2), (1, 8, 2, 3)], POOLS["2x2 / 2"], "do not have"),
    "channels": ("MaxPoolGrad", [(1, 4, 4, 4)] * 3, POOLS["2x2 / 2"] | {"block": 8}, "do not fill"),
    "same place": ("Interleave", [ONE] * 2, PARTS | {"begins": [0, 1, 0, 1]}, "same place"),
    "samples": ("Interleave", [ONE, (2, 8, 4, 4)], PARTS | {"begins": [0, 0, 1, 1]}, "same samples"),
    "beyond": ("Interleave", [ONE], PARTS | {"begins": [2, 0]}, "first stride"),
    "blocks": ("Elementwise", [ONE, (1, 4, 4, 4)], STEP | {"program": [0, 0, 1, -1]}, "does not broadcast"),
    "axes": ("Elementwise", [(1, *ONE)], STEP | {"program": [0, 0, 0, -1]}, "four axes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused(name, graphs) -> None:
    kind, shapes, attributes, message = WRONG[name]
    names = [f"x{k}" for k in range(len(shapes))]
    node = helper.make_node(kind, names, ["made"], domain=DOMAIN, **attributes)
    with pytest.raises(Exception, match=message):
        graphs.run([node], {n: np.ones(s, F) for n, s in zip(names, shapes, strict=True)})

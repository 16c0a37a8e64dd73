"""``ai.onnxplain::ThinConvTranspose`` against a plain twin, and where walks back have it."""

from __future__ import annotations

import numpy as np
import pytest
from one_pass import TEXT, apply, ops
from onnx import helper
from planes import transposed

import onnxplain as ox
from onnxplain.graph.passes.lower import DOMAIN, ThinConvs

F = np.float32
#: Kernel, strides, pads before and behind, more rows and columns.
KINDS = {
    "7x7 / 2": ((7, 7), (2, 2), (3, 3), (3, 3), (1, 1)),
    "3x3 / 2": ((3, 3), (2, 2), (1, 1), (1, 1), (1, 1)),
    "4x4 / 4": ((4, 4), (4, 4), (0, 0), (0, 0), (0, 0)),
    "gaps": ((2, 1), (3, 4), (0, 0), (0, 0), (2, 3)),
    "uneven": ((5, 2), (1, 3), (4, 0), (0, 1), (0, 0)),
    "pads of a whole kernel": ((3, 2), (2, 3), (3, 2), (1, 0), (0, 0)),
}


def twin(g: np.ndarray, w: np.ndarray, kind: str) -> np.ndarray:
    """Add what each place of the kernel gives to every s-th row and column, in float64."""
    kernel, strides, begins, ends, more = KINDS[kind]
    axes = zip(g.shape[2:], kernel, strides, begins, ends, more, strict=True)
    return transposed(g, w, strides, begins, [(n - 1) * s + k + m - b - e for n, k, s, b, e, m in axes])


def node(kind: str, **changed: list[int]):
    _, strides, begins, ends, more = map(list, KINDS[kind])
    described = {"strides": strides, "begins": begins, "ends": ends, "more": more} | changed
    return helper.make_node("ThinConvTranspose", ["g", "w"], ["made"], domain=DOMAIN, **described)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_transposed_convolution(kind, channels, graphs) -> None:
    """Rows shorter and longer than vectors and than tiles of them; more rows than a task has."""
    rng = np.random.default_rng(channels)
    for n, m, h, w in ((1, 1, 2, 2), (2, 5, 3, 17), (1, 3, 19, 4), (1, 2, 2, 67), (0, 2, 3, 3)):
        g = rng.normal(size=(n, m, h, w)).astype(F)
        weight = rng.normal(size=(m, channels, *KINDS[kind][0])).astype(F)
        made = graphs.run([node(kind)], {"g": g, "w": weight})
        np.testing.assert_allclose(made, twin(g, weight, kind), rtol=1e-5, atol=1e-5)


def test_nothing_is_left_of_so_small_a_value(graphs) -> None:
    g, w = np.ones((2, 3, 1, 1), F), np.ones((3, 2, 7, 7), F)
    made = graphs.run([node("7x7 / 2", ends=[4, 4], more=[0, 0])], {"g": g, "w": w})
    assert made.shape == (2, 2, 0, 0)


@pytest.mark.parametrize(
    ("g", "w", "changed", "says"),
    [
        ((1, 3, 4, 4), (2, 3, 7, 7), {}, "the same channels"),
        ((1, 3, 4), (3, 3, 7, 7), {}, "four axes"),
        ((1, 3, 4, 4), (3, 5, 7, 7), {}, "one to four channels"),
        ((1, 3, 0, 4), (3, 3, 7, 7), {}, "no places"),
        ((1, 3, 1, 1), (3, 3, 7, 7), {"ends": [9, 9]}, "more pads than places"),
        ((1, 3, 4, 4), (3, 3, 7, 7), {"strides": [0, 1]}, "at least 1"),
        ((1, 3, 4, 4), (3, 3, 7, 7), {"begins": [-1, 1]}, "at least 0"),
        ((1, 3, 4, 4), (3, 3, 7, 7), {"more": [1]}, "two numbers"),
    ],
)
def test_what_does_not_fit_is_a_named_error(g, w, changed, says, graphs) -> None:
    with pytest.raises(Exception, match=says):
        graphs.run([node("7x7 / 2", **changed)], {"g": np.ones(g, F), "w": np.ones(w, F)})


MODEL = """
    c = Conv<strides = [2, 2], pads = [3, 3, 3, 3]>(x, w, b) r = Relu(c)
    m = ReduceMean<keepdims = 0>(r, axes) y = Gemm(m, v)
"""


@pytest.mark.parametrize("method", [ox.Saliency(abs=False), ox.LRP("epsilon_plus"), ox.DeepLift()])
@pytest.mark.parametrize("side", [13, 16])
def test_both_forms_find_the_same(side, method, models) -> None:
    text = f"m (float[N, 3, {side}, 11] x) => (float[N, 5] y) {{ {MODEL} }}"
    constants = {"w": models.random(9, 3, 7, 7), "b": models.random(9, seed=1), "axes": np.array([2, 3])}
    constants["v"] = models.random(9, 5, seed=2)
    proto, x = models.make(text, **constants), models.random(2, 3, side, 11, seed=3)
    forms = [ox.Explainer(proto, accelerate=own)(x, [0, 4], method).values for own in (True, False)]
    np.testing.assert_allclose(forms[0], forms[1], rtol=1e-4, atol=1e-5)


def changed(node: str, w: tuple[int, ...], models, **options: bool):
    text = TEXT.format(x="1, 6, 4, 5", y="A, B, C, D", body=f"y = {node}")
    return apply(ThinConvs(), models.make(text, w=models.random(*w)), x=models.random(1, 6, 4, 5), **options)


@pytest.mark.parametrize(
    ("node", "w"),
    [
        ("ConvTranspose(x, w)", (6, 3, 3, 3)),
        ("ConvTranspose<strides = [2, 2]>(x, w)", (6, 5, 3, 3)),
        ("ConvTranspose<strides = [2, 2], group = 2>(x, w)", (6, 3, 3, 3)),
        ("ConvTranspose<strides = [2, 2], dilations = [2, 1]>(x, w)", (6, 3, 3, 3)),
        ('ConvTranspose<strides = [2, 2], auto_pad = "SAME_UPPER">(x, w)', (6, 3, 3, 3)),
        ("ConvTranspose<strides = [2, 2], output_shape = [9, 11]>(x, w)", (6, 3, 3, 3)),
    ],
)
def test_others_stay(node, w, models) -> None:
    assert ops(changed(node, w, models, changed=False, written=True)) == ["ConvTranspose"]


def test_the_models_own_nodes_stay(models) -> None:
    changed("ConvTranspose<strides = [2, 2]>(x, w)", (6, 3, 3, 3), models, changed=False)

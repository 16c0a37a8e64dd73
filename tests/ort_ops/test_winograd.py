"""``ai.onnxplain::WinogradConv`` against a plain twin, and where walks back have it."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from one_pass import TEXT, apply, ops
from onnx import helper
from planes import blocked, unblocked

import onnxplain as ox
from onnxplain.graph import facts
from onnxplain.graph.load import load
from onnxplain.graph.normalize import infer_shapes
from onnxplain.graph.passes.lower import DOMAIN, WinogradConvs
from onnxplain.graph.passes.lower.winograd_convs import WINOGRAD, in_blocks

F = np.float32
PADS = ((0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 1, 2))


def twin(x: np.ndarray, kernel: np.ndarray, pads: tuple[int, ...]) -> np.ndarray:
    """Convolve in float64, place by place of the kernel."""
    wide = np.pad(x.astype(float), ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    rows, columns = wide.shape[2] - 2, wide.shape[3] - 2
    parts = (
        np.einsum(
            "nihw,oi->nohw", wide[:, :, i : i + rows, j : j + columns], kernel[:, :, i, j].astype(float)
        )
        for i, j in itertools.product(range(3), repeat=2)
    )
    return sum(parts)


def node(channels: int, pads: tuple[int, ...], **more: int):
    described = {"channels": channels, "begins": list(pads[:2]), "ends": list(pads[2:])} | more
    return helper.make_node(WINOGRAD, ["x", "k"], ["made"], domain=DOMAIN, **described)


def convolved(graphs, x, kernel, pads, **more: int) -> np.ndarray:
    return graphs.run([node(len(kernel), pads, **more)], {"x": x, "k": in_blocks(kernel)})


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(F)


@pytest.mark.parametrize("pads", PADS)
@pytest.mark.parametrize(("given", "made"), [(16, 16), (48, 80), (32, 144), (80, 64)])
def test_it_is_a_convolution(given, made, pads, graphs) -> None:
    """Images smaller than a tile and larger, tiles in one task and in several, blocks that are not full."""
    for n, h, w in ((2, 3, 5), (1, 13, 9), (3, 4, 70), (1, 41, 30), (0, 5, 5)):
        x, kernel = drawn(n, given, h, w), drawn(made, given, 3, 3, seed=1)
        found, expected = convolved(graphs, x, kernel, pads), twin(x, kernel, pads)
        assert found.shape == expected.shape
        largest = np.abs(expected).max(initial=1e-30)
        assert np.abs(found - expected).max(initial=0) / largest < 5e-6


@pytest.mark.parametrize(("block", "out"), list(itertools.product((1, 4, 8, 16), repeat=2)))
def test_blocks_change_no_bits(block, out, graphs) -> None:
    x, kernel = drawn(2, 32, 9, 14), drawn(48, 32, 3, 3, seed=1)
    plain = convolved(graphs, x, kernel, PADS[1])
    in_place = convolved(graphs, blocked(x, block), kernel, PADS[1], block=block, block_out=out)
    np.testing.assert_array_equal(unblocked(in_place, out), plain)


def test_other_samples_change_no_bits(graphs) -> None:
    """Whichever tiles are made together."""
    x, kernel = drawn(9, 32, 14, 10), drawn(144, 32, 3, 3, seed=1)
    together = convolved(graphs, x, kernel, PADS[1])
    for k in range(len(x)):
        np.testing.assert_array_equal(convolved(graphs, x[k : k + 1], kernel, PADS[1])[0], together[k])


def test_rounding_is_relative_to_what_is_near(graphs) -> None:
    """What is far from a large value is as right as without it."""
    x, kernel = drawn(1, 16, 24, 24), drawn(16, 16, 3, 3, seed=1)
    x[0, 3, 2, 2] = 1e8
    found, expected = convolved(graphs, x, kernel, PADS[1]), twin(x, kernel, PADS[1])
    far = np.s_[:, :, 8:, 8:]
    assert np.abs(found - expected)[far].max() < 1e-4
    assert np.abs(found - expected).max() < 5e-6 * np.abs(expected).max()


def test_where_nothing_arrives_nothing_leaves(graphs) -> None:
    x, kernel = np.zeros((1, 16, 24, 24), F), drawn(16, 16, 3, 3, seed=1)
    x[:, :, :4, :4] = 1
    found = convolved(graphs, x, kernel, PADS[1])
    assert not found[:, :, 8:].any()
    assert not found[:, :, :, 8:].any()


@pytest.mark.parametrize(
    ("shape", "kernel", "changed", "says"),
    [
        ((1, 16, 4, 4), (1, 32, 9, 16), {}, "do not have the shape"),
        ((1, 16, 4, 4), (1, 16, 9), {}, "do not have the shape"),
        ((1, 8, 4, 4), (1, 8, 9, 16), {}, "multiple of 16"),
        ((1, 16, 4), (1, 16, 9, 16), {}, "four axes"),
        ((1, 16, 1, 4), (1, 16, 9, 16), {"begins": [0, 1]}, "smaller than a kernel"),
        ((1, 16, 4, 4), (1, 16, 9, 16), {"block": 5}, "do not fill"),
        ((1, 16, 4, 4), (1, 16, 9, 16), {"block_out": 5}, "do not fill"),
        ((1, 16, 4, 4), (1, 16, 9, 16), {"channels": 20}, "multiple of 16"),
        ((1, 16, 4, 4), (1, 16, 9, 16), {"ends": [-1, 1]}, "at least 0"),
        ((1, 16, 4, 4), (1, 16, 9, 16), {"begins": [1]}, "two numbers"),
    ],
)
def test_what_does_not_fit_is_a_named_error(shape, kernel, changed, says, graphs) -> None:
    described = {"channels": 16, "begins": [0, 0], "ends": [0, 0]} | changed
    wrong = helper.make_node(WINOGRAD, ["x", "k"], ["made"], domain=DOMAIN, **described)
    with pytest.raises(Exception, match=says):
        graphs.run([wrong], {"x": np.ones(shape, F), "k": np.ones(kernel, F)})


MODEL = """
    c = Conv<pads = [1, 1, 1, 1]>(x, w, b) r = Relu(c) d = Conv<pads = [1, 1, 1, 1]>(r, u) s = Relu(d)
    m = ReduceMean<keepdims = 0>(s, axes) y = Gemm(m, v)
"""


def network(models):
    """Return a network of two convolutions of 3 x 3."""
    constants = {"w": models.random(32, 3, 3, 3), "b": models.random(32, seed=1), "axes": np.array([2, 3])}
    constants |= {"u": models.random(48, 32, 3, 3, seed=2), "v": models.random(48, 5, seed=3)}
    return models.make(f"m (float[N, 3, 14, 15] x) => (float[N, 5] y) {{ {MODEL} }}", **constants)


METHODS = [
    ox.Saliency(abs=False),
    ox.LRP("epsilon_plus"),
    ox.LRP("epsilon_alpha2_beta1"),
    ox.DeepLift(),
    ox.GuidedBackprop(),
]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_both_forms_find_the_same(method, models, monkeypatch) -> None:
    """In the program as it is compiled first, and as it is compiled anew, in blocks."""
    proto, x = network(models), models.random(3, 3, 14, 15, seed=4)
    found: Counter[str] = Counter()

    def counted(own: WinogradConvs, model):
        made = call(own, model)
        found.update(n.op_type for n in model.graph)
        return made

    call = WinogradConvs.call
    monkeypatch.setattr(WinogradConvs, "call", counted)
    monkeypatch.setattr("onnxplain.runtime.improving.PATIENCE", 0.0)
    own, portable = (ox.Explainer(proto, accelerate=form) for form in (True, False))
    first, again, expected = (e(x, [0, 4, 2], method).values for e in (own, own, portable))
    assert found[WINOGRAD] >= 1
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - expected).max() < 1e-5 * np.abs(expected).max()


CONV = "Conv<pads = [1, 1, 1, 1]>"


def changed(node: str, w: tuple[int, ...], models, said: str = facts.ADJOINT, **options: bool):
    """Run the pass on one node, of which a walk said so."""
    text = TEXT.format(x="2, 16, 12, 12", y="A, B, C, D", body=f"y = {node}")
    weight = options.pop("weight", models.random(*w))
    return apply(Said(said), models.make(text, w=weight), x=models.random(2, 16, 12, 12), **options)


class Said(WinogradConvs):
    """The pass, on nodes that say something."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self._said = said

    def call(self, model):
        """Run it."""
        for each in model.graph:
            if facts.is_written(each):
                each.metadata_props[facts.WRITTEN_KEY] = self._said
        return super().call(model)


def test_a_layers_adjoint_is_replaced(models) -> None:
    text = TEXT.format(x="2, 16, 12, 12", y="A, B, C, D", body=f"y = {CONV}(x, w)")
    model = load(models.make(text, w=models.random(32, 16, 3, 3)))
    model.graph[0].metadata_props[facts.WRITTEN_KEY] = facts.ADJOINT
    infer_shapes(model)
    assert WinogradConvs()(model).modified
    assert ops(model) == [WINOGRAD]
    assert [v.shape for v in model.graph.initializers.values()] == [(2, 16, 9, 16)]


@pytest.mark.parametrize(
    ("node", "w"),
    [
        (f"{CONV}(x, w)", (24, 16, 3, 3)),
        ("Conv<pads = [1, 1, 1, 1], group = 2>(x, w)", (32, 8, 3, 3)),
        ("Conv<pads = [1, 1, 1, 1], strides = [1, 2]>(x, w)", (32, 16, 3, 3)),
        ("Conv<pads = [2, 2, 2, 2], dilations = [2, 2]>(x, w)", (32, 16, 3, 3)),
        ('Conv<auto_pad = "SAME_UPPER">(x, w)', (32, 16, 3, 3)),
        (f"{CONV}(x, w)", (32, 16, 3, 1)),
        ("Conv(x, w)", (32, 16, 5, 5)),
    ],
)
def test_others_stay(node, w, models) -> None:
    assert ops(changed(node, w, models, changed=False, written=True)) == ["Conv"]


def test_what_relevance_is_divided_by_stays(models) -> None:
    made = changed(f"{CONV}(x, w)", (32, 16, 3, 3), models, said="", changed=False, written=True)
    assert ops(made) == ["Conv"]


def test_kernels_that_are_not_finite_stay(models) -> None:
    weight = models.random(32, 16, 3, 3)
    weight[0, 0, 0, 0] = np.inf
    made = changed(f"{CONV}(x, w)", (), models, weight=weight, changed=False, written=True)
    assert ops(made) == ["Conv"]


def test_the_models_own_nodes_stay(models) -> None:
    changed(f"{CONV}(x, w)", (32, 16, 3, 3), models, changed=False)

"""Which models keep samples apart, and which node mixes them: small models of every kind."""

from __future__ import annotations

import batch_cases
import numpy as np
import pytest

from onnxplain.graph.batch import Batch, Mixed, analyse
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize

rng = np.random.default_rng(0)


def random(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def axes_of(found, *names):
    assert isinstance(found, Batch), found
    return [found.axes[name] for name in names]


def test_zoo_is_proven(models):
    found = batch_cases.analysed(models.mlp(softmax=True), {"x": 0}, {"x": random(4, 5)})
    assert axes_of(found, "y", "h", "w") == [0, 0, None]
    found = batch_cases.analysed(models.conv(), {"x": 0}, {"x": random(4, 2, 8, 8)})
    assert axes_of(found, "y", "p1") == [0, 0]
    found = batch_cases.analysed(models.channels_last(), {"x": 0}, {"x": random(4, 8, 8, 2)})
    assert axes_of(found, "y") == [0]
    feeds = {"x": random(4, 5), "aside": random(5, 4)}
    found = batch_cases.analysed(models.batch_last(), {"x": 0, "aside": 1}, feeds)
    assert axes_of(found, "aside", "turned", "y") == [1, 0, 0]
    tokens = rng.integers(0, 20, (4, 7))
    feeds = {"ids": tokens, "mask": np.minimum(tokens, 1)}
    found = batch_cases.analysed(models.tokens(), {"ids": 0, "mask": 0}, feeds)
    assert axes_of(found, "e", "table", "y") == [0, None, 0]


# What mixes the rows of x (N, 4), the operator that does it, and what is said of it.
MIXING = {
    "self-attention over the first axis": (
        "t = Transpose(x) a = MatMul(x, t) s = Softmax(a) y = MatMul(s, x)",
        "MatMul",
        "every sample of one input meet every sample of another",
    ),
    "graph network with an adjacency matrix": (
        "y = MatMul(adjacency, x)",
        "MatMul",
        "sums over the axis of the samples",
    ),
    "graph network with edges": (
        "f = Gather(x, source) n = Mul(x, none) y = ScatterND<reduction = 'add'>(n, target, f)",
        "Gather",
        "picks entries along axis 0 of 'x'",
    ),
    "centring over the batch": (
        "m = ReduceMean(x, zero) y = Sub(x, m)",
        "ReduceMean",
        "works along axis 0 of 'x', along which the samples lie",
    ),
    "softmax over the batch": ("y = Softmax<axis = 0>(x)", "Softmax", "works along axis 0"),
    "running sum": ("y = CumSum(x, zero)", "CumSum", "works along axis 0"),
    "largest rows": ("k = Identity(one) y, i = TopK<axis = 0>(x, k)", "TopK", "works along axis 0"),
    "reverse order": ("y = Slice(x, last, first, zero, last)", "Slice", "picks or reorders samples"),
    "difference to the first": ("f = Slice(x, zero, one, zero) y = Sub(x, f)", "Slice", "picks or reorders"),
    "first row": ("f = Gather(x, zero) y = Sub(x, f)", "Gather", "picks entries along axis 0"),
    "rows beside the samples": ("y = Concat<axis = 0>(x, table)", "Concat", "puts rows beside the samples"),
    "a row of a table for each": ("y = Add(x, table)", "Add", "entries of its own along the axis"),
    "every pair": (
        "a = Unsqueeze(x, zero) b = Unsqueeze(x, one) y = Sub(a, b)",
        "Sub",
        "every sample of one input meet every sample of another",
    ),
    "scaled by their number": (
        "s = Shape<start = 0, end = 1>(x) f = Cast<to = 1>(s) y = Div(x, f)",
        "Div",
        "computes with the batch size",
    ),
    "numbered": (
        """s = Shape<start = 0, end = 1>(x) n = Squeeze(s) r = Range(nought, n, step) f = Cast<to = 1>(r)
        u = Unsqueeze(f, one) y = Add(x, u)""",
        "Add",
        "computes with the batch size, or numbers the samples",
    ),
    "padded": ("y = Pad(x, pads)", "Pad", "pads axis 0"),
    "neighbours": (
        """u = Unsqueeze(x, heads) c = Conv<pads = [1, 1, 0, 0], kernel_shape = [3, 1]>(u, kernel)
        y = Squeeze(c, heads)""",
        "Conv",
        "works along axis 2",
    ),
    "one range for all": (
        "q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z)",
        "Reduce",
        "as dynamic quantisation does",
    ),
    "steps along the samples": (
        """y = Scan<num_scan_inputs = 1, body = b (float[4] a) => (float[4] o) { o = Relu(a) }>(x)""",
        "Scan",
        "steps along axis 0",
    ),
    "single samples lose their axis": ("y = Squeeze(x)", "Squeeze", "that of a single sample (axis 0) too"),
    "one axis for everything": ("y = Reshape(x, last)", "Reshape", "counts more than samples: 4 times"),
    "written for five": ("y = Reshape(x, five)", "Reshape", "only right for one batch size"),
    "random": ("r = RandomNormalLike(x) y = Add(x, r)", "RandomNormalLike", "draws random numbers"),
    "unknown": ("y = com.example.Magic(x)", "com.example.Magic", "nothing is known about how Magic"),
    "only its number": ("y = Shape<start = 0, end = 1>(x)", "Shape", "it gives the number of samples"),
}


def mixing(models, graph):
    text = f"m (float[N, 4] x) => (float[M, K] y) {{ {graph.replace(chr(39), chr(34))} }}"
    weights = {
        "adjacency": random(5, 5), "table": random(5, 4), "kernel": random(1, 1, 3, 1), "none": random() * 0,
        "zero": np.array([0]), "one": np.array([1]), "last": np.array([-1]), "first": np.array([-10]),
        "heads": np.array([0, 1]), "pads": np.array([1, 0, 0, 0]), "five": np.array([5, 2, 2]),
        "source": np.array([0, 1]), "target": np.array([[1], [2]]),
        "nought": np.array(0), "step": np.array(1),
    }  # fmt: skip
    used = {k: v for k, v in weights.items() if f"{k})" in graph or f"{k}," in graph}
    return models.make(text, domain="com.example", **used)


@pytest.mark.parametrize("name", MIXING)
def test_the_first_node_that_mixes_is_named(models, name):
    graph, operator, reason = MIXING[name]
    model = normalize(load(mixing(models, graph))).model
    found = analyse(model, {"x": 0}, {"x": (5, 4)})
    assert isinstance(found, Mixed)
    assert found.node.startswith(operator)
    assert reason in found.reason


def test_one_axis_models_have_no_samples(models):
    model = normalize(
        load(models.make("m (float[D] x) => (float[D] y) { y = MatMul(x, w) }", w=random(3, 3)))
    )
    found = analyse(model.model, {"x": 0}, {"x": (3,)})
    assert isinstance(found, Mixed)
    assert found.node.startswith("MatMul")
    assert isinstance(analyse(model.model, {"x": None}, {"x": (3,)}), Batch)


def test_the_reason_is_that_of_the_first_node(models):
    graph = (
        "m (float[N, 4] x) => (float[N, 4] y) { a = Softmax<axis = 0>(x) b = CumSum(a, zero) y = Relu(b) }"
    )
    found = analyse(normalize(load(models.make(graph, zero=np.array([0])))).model, {"x": 0}, {"x": (5, 4)})
    assert isinstance(found, Mixed)
    assert found.node.startswith("Softmax")


def test_only_the_outputs_that_matter_count(models):
    graph = """m (float[N, 4] x) => (float[N, 4] y, float[4] mean) {
      y = Relu(x) mean = ReduceMean<keepdims = 0>(y, zero) }"""
    model = normalize(load(models.make(graph, zero=np.array([0])))).model
    assert isinstance(analyse(model, {"x": 0}, {"x": (5, 4)}), Mixed)
    found = analyse(model, {"x": 0}, {"x": (5, 4)}, outputs=["y"])
    assert axes_of(found, "y") == [0]
    assert "mean" not in found.axes


def test_side_inputs_with_as_many_rows_as_samples(models):
    graph = "m (float[N, 4] x, float[M, 4] side) => (float[N, M] y) { t = Transpose(side) y = MatMul(x, t) }"
    feeds = {"x": random(5, 4), "side": random(5, 4)}
    found = batch_cases.analysed(models.make(graph), {"x": 0, "side": None}, feeds)
    assert axes_of(found, "side", "y") == [None, 0]
    found = batch_cases.analysed(models.make(graph), {"x": 0, "side": 0}, feeds)
    assert isinstance(found, Mixed)
    found = batch_cases.analysed(models.make(graph), {"x": None, "side": 0}, feeds)
    assert axes_of(found, "x", "y") == [None, 1]


def test_an_output_that_depends_on_no_sample(models):
    graph = "m (float[N, 4] x) => (float[N, 4] y, float[4] z) { y = Relu(x) z = Relu(w) }"
    found = batch_cases.analysed(models.make(graph, w=random(4)), {"x": 0}, {"x": random(5, 4)})
    assert axes_of(found, "y", "z") == [0, None]


def test_declared_shapes_are_not_believed(models):
    graph = "m (float[7, 4] x) => (float[9, 9, 9] y) { t = Transpose(x) y = Relu(t) }"
    model = normalize(load(models.make(graph))).model
    assert axes_of(analyse(model, {"x": 0}, {"x": (5, 4)}), "y") == [1]


class TestOneSize:
    """``free=False``: proofs for exactly as many samples as the call has."""

    def test_a_shape_written_for_the_batch(self, models):
        graph = "m (float[4, 6] x) => (float[4, 2, 3] y) { y = Reshape(x, s) }"
        model = models.make(graph, s=np.array([4, 2, 3]))
        assert isinstance(batch_cases.analysed(model, {"x": 0}, {"x": random(4, 6)}), Mixed)
        found = batch_cases.analysed(model, {"x": 0}, {"x": random(4, 6)}, free=False)
        assert axes_of(found, "y") == [0]

    def test_rows_that_are_all_alike_are_no_table(self, models):
        graph = "m (float[4, 6] x) => (float[4, 7] y) { y = Concat<axis = 1>(token, x) }"
        alike = models.make(graph, token=np.tile(random(1, 1), (4, 1)))
        assert axes_of(batch_cases.analysed(alike, {"x": 0}, {"x": random(4, 6)}, free=False), "y") == [0]
        table = models.make(graph, token=random(4, 1))
        found = batch_cases.analysed(table, {"x": 0}, {"x": random(4, 6)}, free=False)
        assert isinstance(found, Mixed)
        assert found.node.startswith("Concat")

    def test_what_mixes_at_any_size_mixes(self, models):
        model = models.make("m (float[4, 6] x) => (float[4, 6] y) { y = Softmax<axis = 0>(x) }")
        assert isinstance(batch_cases.analysed(model, {"x": 0}, {"x": random(4, 6)}, free=False), Mixed)

    def test_inputs_of_different_numbers(self, models):
        model = normalize(load(models.two_inputs())).model
        shapes = {"image": (4, 2, 4), "table": (5, 3)}
        found = analyse(model, {"image": 0, "table": 0}, shapes, free=False)
        assert isinstance(found, Batch)  # proven for any number, so each call may have its own

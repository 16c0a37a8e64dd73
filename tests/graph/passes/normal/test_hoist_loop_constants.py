"""States that a loop only hands on become values of the outer graph."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.testing.reference import Evaluator

LOOP = """m (float[N, 4] x) => (float[N, 4] y) {
  y, z = Loop (trips, go, x, w) <body = step (int64 i, bool c, float[N, 4] s, float[4, 4] v)
    => (bool d, float[N, 4] t, float[4, 4] u) {
    d = Identity(c) a = MatMul(s, v) t = Tanh(a) u = Identity(v)
  }>
}"""

SCAN = """m (float[3, N, 4] x) => (float[N, 4] y) {
  y, z, k = Scan <num_scan_inputs = 1, body = step (float[N, 4] s, float[4, 4] v, float[N, 4] e)
    => (float[N, 4] t, float[4, 4] v, float[N, 4] o) {
    a = MatMul(s, v) b = Add(a, e) t = Tanh(b) o = Identity(t)
  }> (start, w, x)
}"""


def loop(models):
    return models.make(LOOP, trips=np.array(3), go=np.array(True), w=models.random(4, 4, seed=1))


def graphs(model):
    made = normalize(load(model)).model
    node = next(n for n in made.graph if n.op_type in ("Loop", "Scan"))
    return made, node, node.attributes["body"].as_graph()


def test_a_loop_keeps_the_states_that_change(models) -> None:
    made, node, body = graphs(loop(models))
    assert [v.name for v in node.inputs] == ["trips", "go", "x"]
    assert len(node.outputs) == 1
    assert len(body.inputs) == 3
    assert len(body.outputs) == 2
    x, w = models.random(2, 4), models.random(4, 4, seed=1)
    expected = x
    for _ in range(3):
        expected = np.tanh(expected @ w)
    np.testing.assert_allclose(Evaluator(made)({"x": x})["y"], expected, rtol=1e-5)


def test_relevance_no_longer_ends_in_the_weights(models) -> None:
    x = models.random(2, 4)
    found = ox.explain(loop(models), x, 1, method=ox.LRP("epsilon"))
    assert found.relative_delta.max() < 1e-3


def test_gradients_stay_what_they_are(models) -> None:
    x = models.random(2, 4).astype(np.float64)
    found = ox.explain(loop(models), x.astype(np.float32), 1, method=ox.Saliency(abs=False)).values
    w = models.random(4, 4, seed=1).astype(np.float64)

    def score(v):
        for _ in range(3):
            v = np.tanh(v @ w)
        return v[:, 1]

    for k in range(4):
        step = np.zeros((1, 4))
        step[0, k] = 1e-6
        numeric = (score(x + step) - score(x - step)) / 2e-6
        np.testing.assert_allclose(found[:, k], numeric, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("u = Identity(v)", "u = Neg(v)"),  # it changes
        ("float[4, 4] u) {", "float[4, 4] u, float[4, 4] v) {"),  # it is returned in another place too
        ("(float[N, 4] y) {", "(float[N, 4] y, float[4, 4] z) {"),  # its end is asked for
    ],
)
def test_other_states_stay(old, new, models) -> None:
    text = LOOP.replace(old, new).replace(
        "y, z = Loop", "y, z, all = Loop" if "u, float" in new else "y, z = Loop"
    )
    weights = {"trips": np.array(3), "go": np.array(True), "w": models.random(4, 4, seed=1)}
    _, node, _ = graphs(models.make(text, **weights))
    assert len(node.inputs) == 4


def test_scans_too(models) -> None:
    model = models.make(SCAN, w=models.random(4, 4, seed=1), start=np.zeros((2, 4), np.float32))
    made, node, _ = graphs(model)
    assert [v.name for v in node.inputs] == ["start", "x"]
    x, w = models.random(3, 2, 4), models.random(4, 4, seed=1)
    state = np.zeros((2, 4))
    for step in x:
        state = np.tanh(state @ w + step)
    np.testing.assert_allclose(Evaluator(made)({"x": x})["y"], state, rtol=1e-5)

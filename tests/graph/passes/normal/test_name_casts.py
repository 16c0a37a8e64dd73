"""CastLike becomes Cast, and the constants it casts can be folded."""

from __future__ import annotations

import numpy as np

import onnxplain as ox
from onnxplain.graph import facts
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize


def silu(models):
    """x * (CastLike(1, x) / (1 + exp(-x))), as an exporter writes it with a constant of another type."""
    return models.make(
        """m (float[N, 3] x) => (float[N, 3] y) {
          o = CastLike(one, x) n = Neg(x) e = Exp(n) d = Add(e, o) s = Div(o, d) y = Mul(x, s)
        }""",
        one=np.array(1, np.int64),
    )


def test_no_cast_like_is_left_and_its_constant_is_known(models) -> None:
    graph = normalize(load(silu(models))).model.graph
    assert [n.op_type for n in graph] == ["Neg", "Exp", "Add", "Div", "Mul"]
    added = next(n for n in graph if n.op_type == "Add")
    assert facts.constant(added.inputs[1]) == 1.0


def test_relevance_passes_such_an_activation_unchanged(models) -> None:
    x = models.random(2, 3)
    found = ox.explain(silu(models), x, 1, method="lrp")
    expected = np.zeros((2, 3), np.float32)
    expected[:, 1] = x[:, 1] / (1 + np.exp(-x[:, 1]))
    np.testing.assert_allclose(found.values, expected, rtol=1e-5)


def test_a_cast_of_what_is_computed_stays_a_cast(models) -> None:
    model = models.make("m (float[N, 3] x, double[N] t) => (double[N, 3] y) { y = CastLike(x, t) }")
    node = next(iter(normalize(load(model)).model.graph))
    assert node.op_type == "Cast"
    assert node.outputs[0].name == "y"

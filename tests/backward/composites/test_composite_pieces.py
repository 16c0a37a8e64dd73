"""Several nodes that are one function of each element: one place, one rule, and what is beside them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from composite_tables import named, places, resolved, where

import onnxplain as ox
from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.composites.presets import preset
from onnxplain.backward.registry import Category
from onnxplain.backward.rules import lrp
from onnxplain.backward.rules.base import GRADIENT
from onnxplain.errors import DataInputError

SILU = "g = Sigmoid(a) act = Mul(a, g)"
GELU = "q = Div(a, root) e = Erf(q) o = Add(e, one) h = Mul(a, o) act = Mul(h, half)"
GELU_OTHER_ORDER = "h = Mul(a, half) q = Div(a, root) e = Erf(q) o = Add(e, one) act = Mul(h, o)"
TANH_GELU = """q = Mul(a, a) p = Mul(q, a) m = Mul(p, k) i = Add(a, m) j = Mul(i, root) t = Tanh(j)
  o = Add(t, one) n = Mul(a, o) act = Mul(n, half)"""
PIECES = {"silu": SILU, "gelu": GELU, "gelu in another order": GELU_OTHER_ORDER, "tanh gelu": TANH_GELU}


def piece_model(models, kind: str) -> onnx.ModelProto:
    return models.make(
        f"m (float[N, 3] x) => (float[N, 2] y) {{ a = MatMul(x, w) {PIECES[kind]} y = MatMul(act, v) }}",
        w=models.random(3, 4, seed=1), v=models.random(4, 2, seed=2), root=2**0.5, one=1.0, half=0.5,
        k=0.0447,
    )  # fmt: skip


@pytest.mark.parametrize("kind", PIECES)
def test_a_piece_takes_one_row_and_one_rule(kind, models) -> None:
    model = piece_model(models, kind)
    table = resolved(model, preset("epsilon"))
    rows = [row for row in table if row[1] != "MatMul"]
    assert [row[2] for row in rows] in (["pass"], ["pass", "product"])
    assert places(model)[rows[0][0]].piece
    assert places(model)[rows[0][0]].category is Category.ELEMENTWISE


@pytest.mark.parametrize("kind", PIECES)
def test_layers_are_found_across_a_piece(kind, models) -> None:
    assert where(piece_model(models, kind)) == {"a": (True, False, 0), "y": (False, True, 1)}


@pytest.mark.parametrize("kind", PIECES)
def test_relevance_passes_a_piece_unchanged(kind, models) -> None:
    """So it is what the next layer gives, as if the activation were one operator with the rule pass."""
    x = models.random(4, 3, seed=3).astype(np.float64)
    model = piece_model(models, kind)
    result = ox.explain(model, x.astype(np.float32), 1, method=ox.LRP("epsilon"), wrt="a")
    forward = ox.Explainer(with_output(model, "act")).predict(x.astype(np.float32))
    v = models.random(4, 2, seed=2)
    np.testing.assert_allclose(result.arrays["a"], forward["act"] * v[:, 1], rtol=1e-3, atol=1e-5)


def with_output(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    made = onnx.ModelProto()
    made.CopyFrom(model)
    made.graph.output.append(onnx.helper.make_tensor_value_info(name, 1, ["N", 4]))
    return made


def test_without_regions_each_node_takes_a_rule(models) -> None:
    composite = Composite("one", ((Match(), GRADIENT),), regions=False)
    assert len(resolved(piece_model(models, "gelu"), composite).rows) == 7


def test_a_rectifier_beside_a_piece_says_nothing_of_the_sign(models) -> None:
    """Here a gets relevance from the piece too, at places where the ReLU is off."""
    model = models.make(
        """m (float[N, 3] x) => (float[N, 2] y) {
          a = MatMul(x, w) r = Relu(a) g = Sigmoid(a) t = Tanh(a) act = Mul(g, t)
          b = MatMul(r, v) c = MatMul(act, v) y = Add(b, c)
        }""",
        w=models.random(3, 4, seed=1), v=models.random(4, 2, seed=2),
    )  # fmt: skip
    x = models.random(5, 3, seed=3)
    composite = Composite("one", ((Match(name="a"), lrp.gamma(0.5)), *preset("epsilon").rules))
    named(model)
    found = ox.explain(model, x, 0, method=ox.LRP(composite)).values
    R = ox.explain(model, x, 0, method=ox.LRP("epsilon"), wrt="a").arrays["a"]
    A = models.random(3, 4, seed=1).T
    expected = np.stack([sign_aware_gamma(A, x[k], R[k], 0.5) for k in range(5)])
    assert (R[x @ A.T < 0] != 0).any()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def sign_aware_gamma(A: np.ndarray, x: np.ndarray, R: np.ndarray, g: float) -> np.ndarray:
    y = A @ x
    up, down = A + g * np.maximum(A, 0), A + g * np.minimum(A, 0)
    plus, minus = np.maximum(x, 0), np.minimum(x, 0)
    supporting, opposing = plus * up + minus * down, plus * down + minus * up
    return supporting.T @ (R * (y > 0) / supporting.sum(1)) + opposing.T @ (R * (y < 0) / opposing.sum(1))


def test_a_rectifier_beside_a_body_says_nothing_of_the_sign(models) -> None:
    """Here a gets relevance from the branch of an If as well."""
    model = models.make(
        """m (float[N, 3] x, bool flag) => (float[N, 2] y) {
          a = MatMul(x, w) r = Relu(a) b = MatMul(r, v)
          c = If(flag) <
            then_branch = one () => (float[N, 2] p) { p = MatMul(a, v) },
            else_branch = two () => (float[N, 2] q) { q = MatMul(a, u) }>
          y = Add(b, c)
        }""",
        w=models.random(3, 4, seed=1), v=models.random(4, 2, seed=2), u=models.random(4, 2, seed=4),
    )  # fmt: skip
    composite = Composite("one", ((Match(name="a"), lrp.gamma(0.5)), *preset("epsilon").rules))
    named(model)
    feeds = {"x": models.random(1, 3, seed=3), "flag": np.array(True)}
    found = ox.explain(model, feeds, 0, method=ox.LRP(composite)).arrays["x"]
    A, v = models.random(3, 4, seed=1).T, models.random(4, 2, seed=2)
    y = A @ feeds["x"][0]
    R = (np.maximum(y, 0) + y) * v[:, 0]
    np.testing.assert_allclose(found[0], sign_aware_gamma(A, feeds["x"][0], R, 0.5), rtol=1e-3, atol=1e-4)


def test_what_is_asked_for_inside_a_piece_is_not_passed_by(tmp_path, models) -> None:
    """A file may explain values that are computed from each other: then the piece is walked node by node."""
    model = models.make("m (float[N, 5] x) => (float[N, 5] y) { t = Tanh(x) h = Add(x, t) y = Relu(h) }")
    path, x = tmp_path / "both.onnx", np.abs(models.random(2, 5, seed=3))
    names = ox.export(model, path, method=ox.LRP("epsilon"), wrt=["x", "t"]).outputs
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    found = dict(zip(names, session.run(None, {"x": x, "target": np.array([1, 1])}), strict=True))
    np.testing.assert_allclose(found["attribution/t"][:, 1], np.tanh(x[:, 1]), rtol=1e-4)
    np.testing.assert_allclose(found["attribution/x"][:, 1], x[:, 1] + np.tanh(x[:, 1]), rtol=1e-4)
    with pytest.raises(DataInputError, match="'t' is computed from 'x'"):
        ox.export(model, path, method="deep_lift", wrt=["x", "t"])

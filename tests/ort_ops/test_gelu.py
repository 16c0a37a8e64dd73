"""``ai.onnxplain::GeluBackward`` against the same in double precision."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
from onnx import helper

import onnxplain as ox
from onnxplain.graph.passes.lower import DOMAIN

F = np.float32


def node(**attributes):
    return [helper.make_node("GeluBackward", ["x", "g"], ["made"], domain=DOMAIN, **attributes)]


def slope(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    tails = np.array([math.erfc(-v / math.sqrt(2)) for v in x.ravel()]).reshape(x.shape)
    return tails / 2 + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def tanh_slope(x: np.ndarray) -> np.ndarray:
    x = np.clip(x.astype(np.float64), -1e3, 1e3)  # beyond, it is 0 or 1
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    rise = x / 2 / np.cosh(np.clip(u, -300, 300)) ** 2 * math.sqrt(2 / math.pi) * (1 + 0.134145 * x * x)
    return (1 + np.tanh(u)) / 2 + rise


@pytest.mark.parametrize(
    ("by_tanh", "expected"), [({}, slope), ({"tanh": 0}, slope), ({"tanh": 1}, tanh_slope)]
)
def test_slopes(by_tanh, expected, graphs) -> None:
    x = np.concatenate([np.linspace(-15, 15, 40001), [0.0, -0.0, 1e-30, -1e-30, 1e30, -1e30]]).astype(F)
    found = graphs.run(node(factor=[1.0], **by_tanh), {"x": x, "g": np.ones_like(x)})
    np.testing.assert_allclose(found, expected(x), rtol=0, atol=5e-7)


@pytest.mark.parametrize("given", [(3, 40, 200), (200,), (40, 1), ()], ids=str)
def test_what_arrives_is_repeated(given, graphs) -> None:
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(3, 40, 200)).astype(F), np.array(rng.normal(size=given), F)
    found = graphs.run(node(factor=[-2.0]), {"x": x, "g": g})
    np.testing.assert_allclose(found, -2 * g * slope(x), rtol=0, atol=1e-6 * np.abs(g).max())


@pytest.mark.parametrize("by_tanh", [0, 1])
def test_what_is_no_number(by_tanh, graphs) -> None:
    """It is what the written-out slope makes of it: infinity times 0 is no number."""
    x = np.array([np.nan, np.inf, -np.inf, 0, 1], F)
    found = graphs.run(node(factor=[1.0], tanh=by_tanh), {"x": x, "g": np.ones_like(x)})
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


SPELLINGS = {
    "erf": "d = Div(a, root) e = Erf(d) f = Add(e, one) b = Mul(a, f) y = Mul(b, half)",
    "erf, half a step": "d = Mul(a, unroot) e = Erf(d) f = Add(one, e) b = Mul(f, half) y = Mul(a, b)",
    "tanh, a power": "p = Pow(a, three) q = Mul(p, cubic) r = Add(a, q) s = Mul(r, steep) t = Tanh(s)"
    " u = Add(t, one) h = Mul(a, half) y = Mul(h, u)",
    "tanh, factors": "p = Mul(a, steep) q = Mul(a, cubic) r = Mul(q, a) w = Add(r, one) s = Mul(p, w)"
    " t = Tanh(s) u = Add(one, t) v = Mul(a, u) y = Mul(half, v)",
    "one operator": "y = Gelu(a)",
    "one operator, tanh": 'y = Gelu<approximate = "tanh">(a)',
    "with a bias": "y = com.microsoft.BiasGelu(x, bias)",
    "with a bias, tanh": "y = com.microsoft.FastGelu(x, bias)",
}
NUMBERS = {
    "root": np.sqrt(2), "unroot": np.sqrt(0.5), "one": 1, "half": 0.5, "three": 3, "cubic": 0.044715,
    "steep": np.sqrt(2 / np.pi), "bias": np.linspace(-1, 1, 8),
    "weight": np.linspace(-2, 1, 8 * 3).reshape(8, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_walks_back_have_it_however_gelu_is_spelled(name, tmp_path) -> None:
    text = f"""<ir_version: 9, opset_import: ["" : 20, "com.microsoft" : 1]>
      m (float[N, 8] x) => (float[N, 3] z) {{ a = Add(x, bias) {SPELLINGS[name]} z = MatMul(y, weight) }}"""
    model = onnx.parser.parse_model(text)
    for key, value in NUMBERS.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, F), key))
    x = np.random.default_rng(0).normal(size=(5, 8)).astype(F)
    path = ox.export(model, tmp_path / "made.onnx", method="saliency", form="accelerated").path
    own = [n for n in onnx.load(path).graph.node if n.op_type == "GeluBackward"]
    assert len(own) == 1
    assert [a.name for a in own[0].attribute if a.name == "tanh"] == ["tanh"] * ("tanh" in name)
    found, expected = (
        ox.Explainer(model, accelerate=k)(x, [0, 1, 2, 0, 1], "saliency") for k in (True, False)
    )
    np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=2e-6 * expected.values.max())

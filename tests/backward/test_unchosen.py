"""What nobody chose gets a gradient of 0, however steep it is: 0 times infinity does not come up."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.backward.adjoint import add_adjoint, needs_body
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize

X = np.array([[0.0, -0.0, 2.0, -3.0, 200.0, 0.5]], np.float32)

#: Body from x to y (1, 6), and the derivative.
CASES = {
    "safe quotient": (
        "p = Relu(x) q = Div(x, p) ok = Greater(p, zero) y = Where(ok, q, zero)",
        [0, 0, 0, 0, 0, 0],
    ),
    "safe reciprocal": (
        "p = Relu(x) r = Reciprocal(p) q = Mul(two, r) ok = Greater(p, zero) y = Where(ok, q, zero)",
        [0, 0, -2 / 4, 0, -2 / 200**2, -2 / 0.25],
    ),
    "safe product": (
        "r = Reciprocal(x) q = Mul(x, r) ok = Greater(x, zero) y = Where(ok, q, zero)",
        [0, 0, 0, 0, 0, 0],
    ),
    "floor of a logarithm": ("a = Relu(x) l = Log(a) y = Max(l, low)", [0, 0, 1 / 2, 0, 1 / 200, 2]),
    "clipped logarithm": ("a = Relu(x) l = Log(a) y = Clip(l, low)", [0, 0, 1 / 2, 0, 1 / 200, 2]),
    "saturated logarithm": (
        "a = Abs(x) l = Log(a) s = HardSigmoid(l) y = MatMul(s, eye)", [0, 0, 0.1, -0.2 / 3, 0, 0.4]
    ),
    "shrunk square root": (
        "a = Abs(x) r = Sqrt(a) s = Shrink(r) y = MatMul(s, eye)",
        [0, 0, *(0.5 / np.sqrt([2, 3, 200, 0.5]) * [1, -1, 1, 1])],
    ),
    "ELU written out": (
        "e = Exp(x) m = Sub(e, one) ok = Greater(x, zero) y = Where(ok, x, m)",
        [1, 1, 1, np.exp(-3.0), 1, 1],
    ),
    "square root of what a mask lets through": (
        "ok = Greater(x, one) r = Sqrt(x) s = Mul(r, two) n = Neg(s) y = Where(ok, n, zero)",
        [0, 0, -1 / np.sqrt(2), 0, -1 / np.sqrt(200), 0],
    ),
    "power": ("p = Pow(x, half) ok = Greater(x, one) y = Where(ok, p, zero)",
              [0, 0, 0.5 / np.sqrt(2), 0, 0.5 / np.sqrt(200), 0]),
    "another score": ("a = Abs(x) y = Sqrt(a)", None),
    "behind a reshape": (
        "a = Relu(x) l = Log(a) r = Reshape(l, shape) m = Max(r, low) y = Reshape(m, back)",
        [0, 0, 1 / 2, 0, 1 / 200, 2],
    ),
}  # fmt: skip


def model(body, models):
    weights = {
        n: np.float32(v) for n, v in (("zero", 0), ("one", 1), ("two", 2), ("half", 0.5), ("low", -10))
    }
    return models.make(
        f"m (float[1, 6] x) => (float[1, 6] y) {{ {body} }}",
        **weights, shape=np.array([6, 1]), back=np.array([1, 6]), eye=np.eye(6, dtype=np.float32),
    )  # fmt: skip


@pytest.mark.parametrize("method", ["saliency", "guided_backprop", "smooth_grad"])
@pytest.mark.parametrize("case", CASES)
def test_derivatives(case, method, models) -> None:
    body, expected = CASES[case]
    made = {
        "saliency": ox.Saliency(abs=False),
        "guided_backprop": ox.GuidedBackprop(),
        "smooth_grad": ox.SmoothGrad(n_samples=2, stdevs=0.0),
    }[method]
    explainer = ox.Explainer(model(body, models))
    if expected is None:
        for k in range(6):
            found = explainer(X[:, [k, 2, 2, 2, 2, 2]], 1, made).values
            assert found[0, 0] == 0
            assert found[0, 1] == pytest.approx(0.5 / np.sqrt(2))
        return
    values = np.concatenate([explainer(X, k, made).values[:, k] for k in range(6)])
    if method == "guided_backprop":
        assert np.isfinite(values).all()
    else:
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)


def guards(proto) -> int:
    """Count what is written beyond the gradient's own masks."""
    normal = normalize(load(proto), expand=needs_body)
    made = add_adjoint(normal.model, ["y"], ["x"], opset=normal.opset)
    tests = [n.inputs[0].producer() for n in made.graph if n.op_type == "Where"]
    return sum(test is not None and test.op_type == "Equal" for test in tests)


def test_nothing_is_written_where_nothing_is_chosen(models) -> None:
    for body in ("p = Add(x, one) q = Div(x, p)", "l = Exp(x) q = Mul(l, x)", "r = Relu(x) q = Sqrt(r)"):
        assert guards(model(f"{body} y = MatMul(q, eye)", models)) == 0
    assert guards(models.conv()) == 0
    assert guards(model("l = Log(x) y = Max(l, low)", models)) > 0


def test_transforms_of_what_may_be_infinite_are_walked_whole(models) -> None:
    """Of their results one is chosen, and depends on every element."""
    made = models.make(
        """m (float[1, 6] x) => (float[1, 1, 4, 2] y)
        { e = Exp(x) s = Reshape(e, signal) y = STFT(s, step, window) }""",
        signal=np.array([1, 6, 1]), step=np.array(6), window=np.ones(6, np.float32),
    )  # fmt: skip
    x = models.random(1, 6)
    found = ox.explain(made, x, (0, 0, 0), method="saliency", abs=False).values
    np.testing.assert_allclose(found, np.exp(x), rtol=1e-5)

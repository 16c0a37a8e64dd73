"""Guided backpropagation and DeconvNet at rectifiers, as operators and written out, against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

import onnxplain as ox

ERF = np.vectorize(math.erf)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ROOT = math.sqrt(2 / math.pi)

# name: (graph from x to f, constants, the function)
RECTIFIERS = {
    "Relu": ("f = Relu(x)", {}, lambda x: np.maximum(x, 0)),
    "LeakyRelu": ("f = LeakyRelu<alpha = 0.2>(x)", {}, lambda x: np.where(x < 0, 0.2 * x, x)),
    "Elu": ("f = Elu(x)", {}, lambda x: np.where(x < 0, np.expm1(x), x)),
    "Softplus": ("f = Softplus(x)", {}, lambda x: np.log1p(np.exp(x))),
    "HardSwish": ("f = HardSwish(x)", {}, lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    "silu": ("s = Sigmoid(x) f = Mul(x, s)", {}, lambda x: x * sigmoid(x)),
    "gelu": ("d = Div(x, root) e = Erf(d) o = Add(e, one) h = Mul(x, half) f = Mul(h, o)",
             {"root": math.sqrt(2), "one": 1.0, "half": 0.5},
             lambda x: 0.5 * x * (1 + ERF(x / math.sqrt(2)))),
    "tanh gelu": ("""c = Mul(x, x) k = Mul(c, x) a = Mul(k, b) i = Add(x, a) j = Mul(i, root) t = Tanh(j)
                  o = Add(t, one) h = Mul(x, half) f = Mul(h, o)""",
                  {"b": 0.044715, "root": ROOT, "one": 1.0, "half": 0.5},
                  lambda x: 0.5 * x * (1 + np.tanh(ROOT * (x + 0.044715 * x**3)))),
    "hard swish written out": ("a = Add(x, three) c = Clip(a, zero, six) f = Mul(x, c)",
                               {"three": 3.0, "zero": 0.0, "six": 6.0}, lambda x: x * np.clip(x + 3, 0, 6)),
    "leaky by a maximum": ("a = Mul(x, slope) f = Max(x, a)", {"slope": 0.1},
                           lambda x: np.maximum(x, 0.1 * x)),
    "leaky by a choice": ("a = Mul(x, slope) c = Greater(x, zero) f = Where(c, x, a)",
                          {"slope": 0.1, "zero": 0.0}, lambda x: np.where(x > 0, x, 0.1 * x)),
}  # fmt: skip

#: Functions of one value that are no rectifiers: their gradient stays.
OTHERS = {
    "square": ("f = Mul(x, x)", {}, lambda x: x * x),
    "sum": ("t = Tanh(x) f = Add(x, t)", {}, lambda x: x + np.tanh(x)),
    "Tanh": ("f = Tanh(x)", {}, np.tanh),
}

X = np.array([[-2.5, -1.2, -0.3, 0.4, 1.1, 2.7]])
V = np.array([1.5, -0.7, 2.0, -1.1, 0.9, -2.0])


def derivative(f, x):
    return (f(x + 1e-6) - f(x - 1e-6)) / 2e-6


def explained(models, body, constants, method):
    model = models.make(
        f"m (float[N, 6] x) => (float[N, 1] y) {{ {body} y = MatMul(f, v) }}",
        v=V[:, None].astype(np.float32), **{k: np.float32(c) for k, c in constants.items()},
    )  # fmt: skip
    return ox.explain(model, X.astype(np.float32), method=method)


@pytest.mark.parametrize("case", RECTIFIERS)
def test_only_positive_gradients_pass_a_rectifier(case, models) -> None:
    body, constants, f = RECTIFIERS[case]
    found = explained(models, body, constants, "guided_backprop")
    np.testing.assert_allclose(found.values, np.maximum(V, 0) * derivative(f, X), rtol=1e-3, atol=1e-5)
    assert "guided" in {row[2] for row in found.rule_table}


@pytest.mark.parametrize("case", RECTIFIERS)
def test_deconvnet_passes_them_whatever_the_input(case, models) -> None:
    body, constants, _ = RECTIFIERS[case]
    found = explained(models, body, constants, "deconvolution")
    np.testing.assert_allclose(found.values, np.maximum(V, 0)[None], rtol=1e-5)


@pytest.mark.parametrize("method", ["guided_backprop", "deconvolution"])
@pytest.mark.parametrize("case", OTHERS)
def test_other_functions_keep_their_gradient(case, method, models) -> None:
    body, constants, f = OTHERS[case]
    found = explained(models, body, constants, method)
    np.testing.assert_allclose(found.values, V * derivative(f, X), rtol=1e-3, atol=1e-5)


def test_the_switches_of_max_pooling_are_used(models) -> None:
    """DeconvNet puts what comes back where the maximum was."""
    model = models.make(
        """m (float[N, 1, 4] x) => (float[N, 1] y) {
          p = MaxPool<kernel_shape = [2], strides = [2]>(x) r = Relu(p) f = Flatten(r) y = MatMul(f, v)
        }""",
        v=np.array([[2.0], [3.0]], np.float32),
    )
    x = np.array([[[1.0, 4.0, 3.0, -1.0]]], np.float32)
    found = ox.explain(model, x, method="deconvolution")
    np.testing.assert_allclose(found.values, [[[0, 2, 3, 0]]])


@pytest.mark.parametrize("beta", [1.0, 10.0])
def test_beta_smooth(beta, models) -> None:
    found = explained(models, "f = Relu(x)", {}, ox.BetaSmooth(beta))
    np.testing.assert_allclose(found.values, V * sigmoid(beta * X), rtol=1e-4, atol=1e-6)

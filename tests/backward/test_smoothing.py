"""ReLU-beta-smooth at every rectifier that bends, and what the guided methods say where there is none."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox

X = np.array([[-8.0, -2.5, -0.3, 0.0, 0.2, 1.1, 5.7, 9.0]], np.float32)
V = np.array([1.5, -0.7, 2.0, -1.1, 0.9, -2.0, 0.4, 1.2], np.float32)
NOTE = "so this is the plain gradient"


def soft(t, beta):
    """Softplus in place of the ramp max(t, 0)."""
    return np.logaddexp(0, beta * t) / beta


def step(t, beta):
    return 1 / (1 + np.exp(-beta * t))


# name: (graph from x to f, constants, the smoothed function in float64)
BENT = {
    "Relu": ("f = Relu(x)", {}, soft),
    "Relu6": ("f = Clip(x, zero, six)", {}, lambda x, b: soft(x, b) - soft(x - 6, b)),
    "clip without a ceiling": ("f = Clip(x, zero)", {}, soft),
    "LeakyRelu": ("f = LeakyRelu<alpha = 0.2>(x)", {}, lambda x, b: 0.2 * x + 0.8 * soft(x, b)),
    "PRelu": ("f = PRelu(x, slopes)", {"slopes": V}, lambda x, b: V * x + (1 - V) * soft(x, b)),
    "ThresholdedRelu": ("f = ThresholdedRelu<alpha = 0.0>(x)", {}, soft),
    "a threshold of 1": ("f = ThresholdedRelu<alpha = 1.0>(x)", {}, lambda x, b: soft(x - 1, b)),
    "maximum": ("f = Max(x, zero)", {}, soft),
    "maximum, the other way round": ("f = Max(zero, x)", {}, soft),
    "leaky by a maximum": ("a = Mul(x, tenth) f = Max(x, a)", {}, lambda x, b: 0.1 * x + 0.9 * soft(x, b)),
    "leaky by a quotient": ("a = Div(x, ten) f = Max(a, x)", {}, lambda x, b: 0.1 * x + 0.9 * soft(x, b)),
    "leaky by a choice": (
        "a = Mul(x, tenth) c = Greater(x, zero) f = Where(c, x, a)", {},
        lambda x, b: 0.1 * x + 0.9 * soft(x, b),
    ),
    "choice of zero": ("c = LessOrEqual(x, zero) f = Where(c, zero, x)", {}, soft),
    "choice the other way round": ("c = Less(zero, x) f = Where(c, x, zero)", {}, soft),
    "magnitude by a maximum": ("n = Neg(x) f = Max(x, n)", {}, lambda x, b: 2 * soft(x, b) - x),
    "leaky by two ReLUs": (
        "p = Relu(x) m = Neg(x) q = Relu(m) a = Mul(q, tenth) f = Sub(p, a)", {},
        lambda x, b: soft(x, b) - 0.1 * soft(-x, b),
    ),
    "HardSigmoid": (
        "f = HardSigmoid<alpha = 0.5, beta = 0.25>(x)", {},
        lambda x, b: soft(0.5 * x + 0.25, b) - soft(0.5 * x - 0.75, b),
    ),
    "Selu": ("f = Selu(x)", {}, None),
    "Elu that bends": ("f = Elu<alpha = 0.5>(x)", {}, None),
    "HardSwish": ("f = HardSwish(x)", {}, None),
    "Relu6 by a minimum": ("r = Relu(x) f = Min(r, six)", {}, None),
    "Relu6 by both": ("r = Max(x, zero) f = Min(six, r)", {}, None),
}  # fmt: skip

#: Smooth as they are, or no rectifiers.
OTHERS = {
    "Elu": "f = Elu(x)", "silu": "s = Sigmoid(x) f = Mul(x, s)", "Softplus": "f = Softplus(x)",
    "Tanh": "f = Tanh(x)", "hard tanh": "f = Clip(x, low, six)", "guard": "f = Max(x, tiny)",
    "maxout": "s = Sin(x) f = Max(x, s)", "none": "f = Identity(x)",
}  # fmt: skip


def network(models, body, constants=None):
    weights = {"zero": 0.0, "six": 6.0, "ten": 10.0, "tenth": 0.1, "low": -1.0, "tiny": 1e-6}
    return models.make(
        f"m (float[N, 8] x) => (float[N, 1] y) {{ {body} y = MatMul(f, v) }}",
        v=V[:, None], **{k: np.float32(c) for k, c in (weights | (constants or {})).items()},
    )  # fmt: skip


@pytest.mark.parametrize("beta", [1.0, 10.0])
@pytest.mark.parametrize("case", BENT)
def test_bends_are_smoothed(case, beta, models) -> None:
    body, constants, f = BENT[case]
    found = ox.explain(network(models, body, constants), X, method=ox.BetaSmooth(beta))
    assert not any(NOTE in note for note in found.notes)
    assert "beta_smooth" in {row[2] for row in found.rule_table}
    if f is not None:
        x = X.astype(np.float64)
        expected = V * (f(x + 1e-6, beta) - f(x - 1e-6, beta)) / 2e-6
        np.testing.assert_allclose(found.values, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", BENT)
def test_much_smoothing_is_none(case, models) -> None:
    """With a large beta it is the gradient, away from the bends."""
    body, constants, _ = BENT[case]
    model, x = network(models, body, constants), X + np.float32(0.037)
    found, plain = (
        ox.explain(model, x, method=m).values for m in (ox.BetaSmooth(1e4), ox.Saliency(abs=False))
    )
    np.testing.assert_allclose(found, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", OTHERS)
def test_others_keep_their_gradient_and_say_so(case, models) -> None:
    model = network(models, OTHERS[case])
    x = X + np.float32(0.037)
    found, plain = (ox.explain(model, x, method=m) for m in (ox.BetaSmooth(1.0), ox.Saliency(abs=False)))
    np.testing.assert_allclose(found.values, plain.values, rtol=1e-5)
    assert any(NOTE in note and "beta_smooth" in note for note in found.notes)


@pytest.mark.parametrize("method", ["guided_backprop", "deconvolution"])
def test_guided_methods_say_where_they_change_nothing(method, models) -> None:
    for body in (OTHERS["Tanh"], OTHERS["none"]):
        found = ox.explain(network(models, body), X, method=method)
        assert any(NOTE in note for note in found.notes)
    for case, (body, constants, _) in BENT.items():
        found = ox.explain(network(models, body, constants), X, method=method)
        assert any(NOTE in note for note in found.notes) is (case == "HardSigmoid"), case
        if case == "HardSigmoid":
            continue
        if method == "deconvolution" and case != "magnitude by a maximum":
            np.testing.assert_allclose(found.values[0], np.maximum(V, 0), rtol=1e-5, err_msg=case)


def test_smoothgrad_says_what_its_method_says(models) -> None:
    for body, told in ((OTHERS["Tanh"], True), ("f = Relu(x)", False)):
        method = ox.SmoothGrad(ox.GuidedBackprop(), n_samples=2)
        found = ox.explain(network(models, body), X, method=method)
        assert any(NOTE in note for note in found.notes) is told


def test_other_methods_say_nothing(models) -> None:
    for method in ("saliency", "integrated_gradients", "lrp", "deep_lift"):
        found = ox.explain(network(models, OTHERS["Tanh"]), X, method=method)
        assert not any(NOTE in note for note in found.notes)

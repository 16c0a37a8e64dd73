"""What becomes of the share of biases: ``bias="spread"`` and ``"drop"`` against their formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from lrp_layers import (
    LAYERS,
    UNIFORM,
    connections,
    dense,
    evaluator,
    layer_model,
    relevance,
    relevance_of_all,
)
from relevance_formulas import EPSILON, neg, pos, shared, stab

from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.rules import lrp
from onnxplain.backward.rules.base import Pass
from onnxplain.errors import MethodError
from onnxplain.graph.load import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnxplain.backward.rules.base import Rule

# The formulas: contributions c (out, in), bias b (out,), R (out,), which inputs reach which outputs.


def proportions(c, connected, eps=EPSILON):
    """q_kj = (|c_kj| + eps / n_k) / (sum_j |c_kj| + eps), over the n_k inputs that reach k."""
    connected = (connected != 0).astype(float)
    count = np.maximum(connected.sum(1, keepdims=True), 1)
    return (np.abs(c) + eps * connected / count) / (np.abs(c).sum(1, keepdims=True) + eps)


def one_sign(c, b, R, connected):
    """R_j = sum_k q_kj R_k."""
    return proportions(c, connected).T @ R


def either_sign(c, b, R, connected, eps=EPSILON):
    """R_j = sum_k (c_kj + (stab(z_k) - sum_j c_kj) q_kj) R_k / stab(z_k)."""
    z = c.sum(1) + b
    stabilised = stab(z, eps)
    left = (stabilised - c.sum(1))[:, None] * proportions(c, connected, eps)
    return (c + left).T @ (R / stabilised)


def zplus(A, b, x, R, connected, plain):
    return one_sign(pos(A * x), b, R, connected)


def alpha2_beta1(A, b, x, R, connected, plain):
    return 2 * zplus(A, b, x, R, connected, plain) - one_sign(neg(A * x), b, R, connected)


def epsilon(A, b, x, R, connected, plain):
    """A layer without a bias has none to spread: eps is what it was."""
    return shared(A * x, A @ x, R) if plain else either_sign(A * x, b, R, connected)


def zero(A, b, x, R, connected, plain):
    return (A * x).T @ (R / (A @ x)) if plain else either_sign(A * x, b, R, connected, 1e-300)


def gamma(A, b, x, R, connected, plain):
    y = A @ x + b
    up, down = A + 0.25 * pos(A), A + 0.25 * neg(A)
    for_positive, for_negative = pos(x) * up + neg(x) * down, pos(x) * down + neg(x) * up
    return either_sign(for_positive, b + 0.25 * pos(b), R * (y >= 0), connected) + either_sign(
        for_negative, b + 0.25 * neg(b), R * (y < 0), connected
    )


SPREAD: dict[str, tuple[Rule, Callable[..., np.ndarray]]] = {
    "zero": (lrp.zero(bias="spread"), zero),
    "epsilon": (lrp.epsilon(EPSILON, bias="spread"), epsilon),
    "norm": (lrp.norm(EPSILON, bias="spread"), epsilon),
    "gamma": (lrp.gamma(0.25, bias="spread"), gamma),
    "zplus": (lrp.zplus(EPSILON, bias="spread"), zplus),
    "alpha2 beta1": (lrp.alpha_beta(2, 1, bias="spread"), alpha2_beta1),
}

numbers = np.random.default_rng(11)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("rule", SPREAD)
def test_spread_is_its_formula_on_the_dense_matrix(rule, layer, models) -> None:
    chosen, formula = SPREAD[rule]
    model = layer_model(models, layer)
    shape, made = LAYERS[layer][1:3]
    x, R = numbers.standard_normal(shape), numbers.standard_normal(made)
    A, b = dense(model, shape)
    connected = connections(layer, models)
    plain = not b.any() and layer not in UNIFORM
    expected = formula(A, b, x.ravel(), R.ravel(), connected, plain).reshape(shape)
    found = relevance(model, chosen, x, R)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    if not plain and (connected != 0).any(1).all():
        np.testing.assert_allclose(found.sum(), R.sum(), rtol=1e-9, atol=1e-9 * np.abs(found).sum())


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("rule", ["zplus", "alpha2 beta1"])
def test_outputs_without_contributions_give_evenly(rule, layer, models) -> None:
    """Nothing goes in: the bias alone says what comes out; the border of a padded window has fewer inputs."""
    chosen, formula = SPREAD[rule]
    model = layer_model(models, layer)
    shape, made = LAYERS[layer][1:3]
    R = numbers.standard_normal(made)
    A, b = dense(model, shape)
    connected = (connections(layer, models) != 0).astype(float)
    expected = shared_evenly(connected, R.ravel()).reshape(shape)
    found = relevance(model, chosen, np.zeros(shape), R)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    np.testing.assert_allclose(
        formula(A, b, np.zeros(A.shape[1]), R.ravel(), connected, False).reshape(shape), expected, atol=1e-12
    )


def shared_evenly(connected: np.ndarray, R: np.ndarray) -> np.ndarray:
    """R_j = sum_k R_k / n_k."""
    return connected.T @ (R / np.maximum(connected.sum(1), 1))


@pytest.mark.parametrize("rule", ["zero", "epsilon", "norm", "gamma", "zplus", "alpha_beta"])
@pytest.mark.parametrize("layer", LAYERS)
def test_drop_is_a_layer_without_its_bias(rule, layer, models) -> None:
    """Also where zennit's word for it is used."""
    make = getattr(lrp, rule)
    model = layer_model(models, layer)
    shape, made = LAYERS[layer][1:3]
    x, R = numbers.standard_normal(shape), numbers.standard_normal(made)
    found = relevance(model, make(bias="drop"), x, R)
    np.testing.assert_array_equal(found, relevance(model, make(zero_params="bias"), x, R))
    if rule == "epsilon":
        A, _ = dense(model, shape)
        expected = (x.ravel() * (A.T @ (R.ravel() / stab(A @ x.ravel())))).reshape(shape)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("operands", [("a", "b", "c"), ("c", "a", "b"), ("a", "c", "b")])
@pytest.mark.parametrize("rule", SPREAD)
def test_the_constant_of_a_sum_is_its_bias(rule, operands, models) -> None:
    chosen, formula = SPREAD[rule]
    names = ", ".join(operands)
    c = numbers.standard_normal(3)
    model = models.make(f"m (double[2, 3] a, double[2, 3] b) => (double[2, 3] y) {{ y = Sum({names}) }}", c=c)
    feeds = {k: numbers.standard_normal((2, 3)) for k in "ab"}
    R = numbers.standard_normal((2, 3))
    found = relevance_of_all(model, chosen, feeds, R)
    for i in range(2):
        for j in range(3):
            x = np.array([feeds["a"][i, j], feeds["b"][i, j]])
            expected = formula(np.ones((1, 2)), c[j : j + 1], x, R[i, j : j + 1], np.ones((1, 2)), False)
            np.testing.assert_allclose([found[0][i, j], found[1][i, j]], expected, rtol=1e-9, atol=1e-12)


WINDOWS = [
    "Conv<pads = [1, 1, 0, 1], strides = [2, 1]>(r, w, b)",
    "Conv<group = 2, pads = [2, 0, 1, 1]>(r, g, b)",
    'Conv<auto_pad = "SAME_UPPER", strides = [2, 2]>(r, w, b)',
    'Conv<auto_pad = "SAME_LOWER", dilations = [2, 1]>(r, w, b)',
    "ConvTranspose<strides = [2, 2], pads = [1, 0, 0, 1]>(r, t, b)",
    "ConvTranspose<group = 2, pads = [0, 0, 1, 0], output_padding = [1, 0], strides = [2, 1]>(r, u, b)",
    'ConvTranspose<auto_pad = "SAME_UPPER", strides = [2, 2]>(r, t, b)',
]


@pytest.mark.parametrize("layer", WINDOWS)
@pytest.mark.parametrize("bias", ["spread", "scale"])
def test_nothing_is_lost_whatever_is_known_of_the_shape(bias, layer, models) -> None:
    """The number of a window's inputs is computed where it cannot be known."""
    weights = {
        "w": numbers.standard_normal((4, 2, 3, 3)),
        "g": numbers.standard_normal((4, 1, 3, 3)),
        "t": numbers.standard_normal((2, 4, 3, 3)),
        "u": numbers.standard_normal((2, 2, 3, 3)),
        "b": np.abs(numbers.standard_normal(4)),
    }
    x = numbers.standard_normal((1, 2, 6, 6))
    x[:, :, 2:, 2:] = -1.0  # windows of zeros
    found = []
    for shape in ("1, 2, 6, 6", "N, 2, H, W", "1, 2, H, 6"):
        model = models.make(
            f"m (double[{shape}] x) => (double[A, B, C, D] y) {{ r = Relu(x) y = {layer} }}", **weights
        )
        R = np.abs(np.random.default_rng(3).standard_normal(evaluator(load(model))(x=x).shape))
        rules = Composite("one", ((Match(ops=("Relu",)), Pass()), (Match(), lrp.zplus(bias=bias))))
        found.append(relevance(model, rules, x, R))
        np.testing.assert_allclose(found[-1].sum(), R.sum(), rtol=1e-9)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("make", [lrp.zero, lrp.epsilon, lrp.norm, lrp.gamma, lrp.zplus, lrp.alpha_beta])
def test_an_unknown_treatment_is_refused(make) -> None:
    with pytest.raises(MethodError, match=r"bias is 'share'; give 'keep', 'drop', 'spread' or 'scale'"):
        make(bias="share")

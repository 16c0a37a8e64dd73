"""Every LRP rule against a naive replica: the layer as one dense matrix, the formula as it is printed.

A new rule is one line of ``RULES``; a new layer one line of ``LAYERS`` in
``tests/helpers/lrp_layers.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from lrp_layers import LAYERS, UNIFORM, connections, dense, layer_model, relevance, relevance_of_all, w
from relevance_formulas import EPSILON, neg, pos, shared, stab

import onnxplain as ox
from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.rules import lrp
from onnxplain.backward.rules.base import Pass
from onnxplain.errors import UnsupportedRuleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnxplain.backward.rules.base import Rule

# The formulas: A (out, in), b (out,), x (in,), R (out,).


def epsilon(A, b, x, R):
    """R_j = sum_k a_j w_jk / (z_k + eps sign z_k) R_k."""
    return x * (A.T @ (R / stab(A @ x + b)))


def zero(A, b, x, R):
    """Eps without eps."""
    return x * (A.T @ (R / (A @ x + b)))


def zplus(A, b, x, R):
    """Only positive contributions, and the positive bias, count."""
    return shared(pos(A * x), pos(A * x).sum(1) + pos(b), R)


def zplus_without_bias(A, b, x, R):
    return shared(pos(A * x), pos(A * x).sum(1), R)


def epsilon_without_bias(A, b, x, R):
    return shared(A * x, A @ x, R)


def alpha_beta(alpha, beta):
    def formula(A, b, x, R):
        against = shared(neg(A * x), neg(A * x).sum(1) + neg(b), R)
        return alpha * zplus(A, b, x, R) - beta * against

    return formula


def whole_bias(alpha, beta):
    """Both sums hold the bias, whatever its sign (iNNvestigate)."""

    def formula(A, b, x, R):
        supporting, opposing = (shared(p, p.sum(1) + b, R) for p in (pos(A * x), neg(A * x)))
        return alpha * supporting - beta * opposing

    return formula


def gamma(g):
    """The sign-aware form: positive outputs by a+ (w + g w+) + a- (w + g w-), negative ones by the mirror."""

    def formula(A, b, x, R):
        y = A @ x + b
        up, down = A + g * pos(A), A + g * neg(A)
        for_positive, for_negative = pos(x) * up + neg(x) * down, pos(x) * down + neg(x) * up
        return shared(for_positive, for_positive.sum(1) + b + g * pos(b), R * (y > 0)) + shared(
            for_negative, for_negative.sum(1) + b + g * neg(b), R * (y < 0)
        )

    return formula


def flat(A, b, x, R, connected=None):
    """Every connection counts 1."""
    ones = (connected != 0).astype(float)
    return shared(ones, ones.sum(1), R)


def wsquare(A, b, x, R):
    return shared(A**2, (A**2).sum(1), R)


LOW, HIGH = -3.0, 2.5


def zbox(A, b, x, R):
    contributions = A * x - LOW * pos(A) - HIGH * neg(A)
    return shared(contributions, contributions.sum(1), R)


RULES: dict[str, tuple[Rule, Callable[..., np.ndarray]]] = {
    "zero": (lrp.zero(), zero),
    "epsilon": (lrp.epsilon(EPSILON), epsilon),
    "epsilon without bias": (lrp.epsilon(EPSILON, zero_params=["bias"]), epsilon_without_bias),
    "norm": (lrp.norm(EPSILON), epsilon),
    "gamma": (lrp.gamma(0.25), gamma(0.25)),
    "gamma 2": (lrp.gamma(2.0, EPSILON), gamma(2.0)),
    "alpha1 beta0": (lrp.alpha_beta(1, 0), alpha_beta(1, 0)),
    "alpha2 beta1": (lrp.alpha_beta(2, 1), alpha_beta(2, 1)),
    "alpha1.5 beta0.5": (lrp.alpha_beta(1.5, 0.5), alpha_beta(1.5, 0.5)),
    "alpha1 beta0, whole bias": (lrp.alpha_beta(1, 0, whole_bias=True), whole_bias(1, 0)),
    "alpha2 beta1, whole bias": (lrp.alpha_beta(2, 1, whole_bias=True), whole_bias(2, 1)),
    "zplus": (lrp.zplus(EPSILON), zplus),
    "zplus without bias": (lrp.zplus(EPSILON, zero_params=("bias",)), zplus_without_bias),
    "flat": (lrp.flat(EPSILON), flat),
    "wsquare": (lrp.wsquare(EPSILON), wsquare),
    "zbox": (lrp.zbox(LOW, HIGH, EPSILON), zbox),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("rule", RULES)
def test_rule_is_its_formula_on_the_dense_matrix(rule, layer, models) -> None:
    chosen, formula = RULES[rule]
    model = layer_model(models, layer)
    shape, made = LAYERS[layer][1:3]
    numbers = np.random.default_rng(1)
    x, R = numbers.standard_normal(shape), numbers.standard_normal(made)
    A, b = dense(model, shape)
    known = {"connected": connections(layer, models)} if rule == "flat" else {}
    expected = formula(A, b, x.ravel(), R.ravel(), **known).reshape(shape)
    found = relevance(model, chosen, x, R)
    tolerance = 1e-5 if layer in UNIFORM and rule in ("flat", "wsquare") else 1e-10
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("rule", ["zero", "epsilon", "norm"])
def test_a_normalisation_that_stands_alone_is_a_product_and_a_sum(rule, models) -> None:
    chosen, formula = RULES[rule]
    graph = "m (double[2, 3, 2] x) => (double[2, 3, 2] y) { y = BatchNormalization(x, w, b, m, v) }"
    model = models.make(graph, w=w(3), b=w(3), m=w(3), v=w(3) ** 2 + 0.1)
    numbers = np.random.default_rng(5)
    x, R = numbers.standard_normal((2, 3, 2)), numbers.standard_normal((2, 3, 2))
    expected = formula(*dense(model, x.shape), x.ravel(), R.ravel()).reshape(x.shape)
    found = relevance(model, chosen, x, R)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("rule", [k for k in RULES if "bias" not in k])
def test_two_computed_operands_get_half_each(rule, models) -> None:
    """MatMul(a, b): each is the input once, with the other for its weight."""
    chosen, formula = RULES[rule]
    model = models.make(
        "m (double[2, 3, 4] a, double[2, 4, 2] b) => (double[2, 3, 2] y) { y = MatMul(a, b) }"
    )
    numbers = np.random.default_rng(3)
    a, b, R = (numbers.standard_normal(s) for s in ((2, 3, 4), (2, 4, 2), (2, 3, 2)))
    found = relevance_of_all(model, chosen, {"a": a, "b": b}, R)
    for n in range(2):
        for k in range(3):  # row k of a meets all of b
            M = b[n].T
            known = {"connected": np.ones_like(M)} if rule == "flat" else {}
            expected = formula(M, np.zeros(2), a[n, k], R[n, k] / 2, **known)
            np.testing.assert_allclose(found[0][n, k], expected, rtol=1e-9, atol=1e-12)
        for k in range(2):  # column k of b meets all of a
            known = {"connected": np.ones_like(a[n])} if rule == "flat" else {}
            expected = formula(a[n], np.zeros(3), b[n, :, k], R[n, :, k] / 2, **known)
            np.testing.assert_allclose(found[1][n, :, k], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rule", [k for k in RULES if "without" not in k])
@pytest.mark.parametrize("op_type", ["Add", "Sub", "Mean"])
def test_a_sum_is_a_layer_with_weights_of_one(rule, op_type, models) -> None:
    """Broadcast operands too: b counts for every row of a."""
    chosen, formula = RULES[rule]
    model = models.make(f"m (double[2, 3] a, double[3] b) => (double[2, 3] y) {{ y = {op_type}(a, b) }}")
    numbers = np.random.default_rng(4)
    a, b, R = (numbers.standard_normal(s) for s in ((2, 3), (3,), (2, 3)))
    found = relevance_of_all(model, chosen, {"a": a, "b": b}, R)
    signs = {"Add": (1.0, 1.0), "Sub": (1.0, -1.0), "Mean": (0.5, 0.5)}[op_type]
    expected_a, expected_b = np.zeros((2, 3)), np.zeros(3)
    for i in range(2):
        for j in range(3):
            A = np.array([signs])
            known = {"connected": A} if rule == "flat" else {}
            part = formula(A, np.zeros(1), np.array([a[i, j], b[j]]), R[i, j : j + 1], **known)
            expected_a[i, j] += part[0]
            expected_b[j] += part[1]
    tolerance = 1e-5 if op_type == "Mean" and rule in ("flat", "wsquare") else 1e-9
    np.testing.assert_allclose(found[0], expected_a, rtol=tolerance)
    np.testing.assert_allclose(found[1], expected_b, rtol=tolerance)


@pytest.mark.parametrize("rule", RULES)
def test_knowing_that_an_input_is_positive_changes_nothing(rule, models) -> None:
    """After a ReLU the branches for negative inputs are left out."""
    chosen, formula = RULES[rule]
    matrix = w(4, 3)
    known = {"connected": np.ones((3, 4))} if rule == "flat" else {}
    graph = "m (double[2, 4] x) => (double[2, 3] y) { r = Relu(x) y = MatMul(r, w) }"
    rules = Composite("one", ((Match(ops=("MatMul",)), chosen), (Match(), Pass())))
    x = np.random.default_rng(2).standard_normal((2, 4))
    found = ox.explain(models.make(graph, w=matrix), x, 0, method=ox.LRP(rules)).values
    for k in range(2):
        r = pos(x[k])
        expected = formula(matrix.T, np.zeros(3), r, np.array([r @ matrix[:, 0], 0, 0]), **known)
        np.testing.assert_allclose(found[k], expected, atol=1e-12)


REFUSED = {
    "Resize": (
        'Resize<mode = "linear">(x, none, none, sizes)',
        {"none": np.zeros(0), "sizes": np.array([1, 6])},
    ),
    "Sigmoid": ("Sigmoid(x)", {}),
    "Einsum": ('Einsum<equation = "ij,j,j->i">(x, v, v)', {"v": np.ones(3)}),
}


@pytest.mark.parametrize("op_type", REFUSED)
def test_a_layer_whose_weights_a_rule_cannot_see_is_refused(op_type, models) -> None:
    node, weights = REFUSED[op_type]
    model = models.make(f"m (float[1, 3] x) => (float[N, K] y) {{ y = {node} }}", **weights)
    rules = Composite("one", ((Match(), lrp.zplus()),))
    with pytest.raises(UnsupportedRuleError, match=rf"'zplus' .* {op_type} node .* rule"):
        ox.explain(model, models.random(1, 3), (0, 0), method=ox.LRP(rules))


def test_a_layer_rule_on_an_activation_that_is_written_out_is_refused(models) -> None:
    model = models.make("m (float[1, 3] x) => (float[1, 3] y) { t = Sigmoid(x) y = Mul(x, t) }")
    rules = Composite("one", ((Match(ops=("Mul",)), lrp.epsilon()), (Match(), Pass())))
    with pytest.raises(UnsupportedRuleError, match=r"'epsilon' .* Mul node .* 'pass'.*regions=False"):
        ox.explain(model, models.random(1, 3), 0, method=ox.LRP(rules))


def test_a_denominator_is_no_linear_operand(models) -> None:
    model = models.make("m (float[1, 3] x) => (float[1, 3] y) { t = Sigmoid(x) y = Div(x, t) }")
    rules = Composite("one", ((Match(ops=("Div",)), lrp.epsilon()), (Match(), Pass())), regions=False)
    with pytest.raises(UnsupportedRuleError, match=r"'epsilon' .* Div node .* 'product'"):
        ox.explain(model, models.random(1, 3), 0, method=ox.LRP(rules))


@pytest.mark.parametrize("composite", ["epsilon", "epsilon_plus", "zplus"])
def test_relevance_is_conserved_without_biases(composite, models) -> None:
    x = models.random(6, 2, 8, 8, seed=4)
    found = ox.explain(models.conv(bias=False), x, "predicted", method=ox.LRP(composite))
    assert np.abs(found.score).min() > 1e-2
    assert found.relative_delta.max() < 1e-4
    assert found.rule_table


def test_what_biases_keep_is_reported(models) -> None:
    x = models.random(6, 2, 8, 8, seed=4)
    found = ox.explain(models.conv(), x, 1, method=ox.LRP("epsilon", bias="keep"))
    np.testing.assert_allclose(found.delta, found.values.sum((1, 2, 3)) - found.score, rtol=1e-3, atol=1e-3)
    assert np.abs(found.delta).max() > 1e-2

"""Every LRP rule against a naive replica: the layer as one dense matrix, the formula as it is printed.

A new rule is one line of ``RULES``; a new layer one line of ``LAYERS``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

import onnxplain as ox
from onnxplain._reference import CORRECTED
from onnxplain.backward.composite import Composite, Match
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import backward
from onnxplain.backward.preparation import prepare
from onnxplain.backward.rules import lrp
from onnxplain.backward.rules.base import Pass
from onnxplain.errors import UnsupportedRuleError
from onnxplain.graph import passes
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.runtime.programs import lower

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

    from onnxplain.backward.rules.base import Rule

EPSILON = 1e-6


def stab(z: np.ndarray) -> np.ndarray:
    return z + EPSILON * np.where(z < 0, -1.0, 1.0)


def pos(a: np.ndarray) -> np.ndarray:
    return np.maximum(a, 0)


def neg(a: np.ndarray) -> np.ndarray:
    return np.minimum(a, 0)


# The formulas: A (out, in), b (out,), x (in,), R (out,).


def epsilon(A, b, x, R):
    """R_j = sum_k a_j w_jk / (z_k + eps sign z_k) R_k."""
    return x * (A.T @ (R / stab(A @ x + b)))


def shared(contributions, total, R):
    """sum_k c_kj / stab(total_k) R_k, for contributions (out, in)."""
    return contributions.T @ (R / stab(total))


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
    "zplus": (lrp.zplus(EPSILON), zplus),
    "zplus without bias": (lrp.zplus(EPSILON, zero_params=("bias",)), zplus_without_bias),
    "flat": (lrp.flat(EPSILON), flat),
    "wsquare": (lrp.wsquare(EPSILON), wsquare),
    "zbox": (lrp.zbox(LOW, HIGH, EPSILON), zbox),
}

rng = np.random.default_rng(0)


def w(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


# name: (node, shape of x, shape of y, weights); weights of a layer are constants
LAYERS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "gemm": ("Gemm(x, w, b)", (2, 4), (2, 3), {"w": w(4, 3), "b": w(3)}),
    "gemm without bias": ("Gemm(x, w)", (2, 4), (2, 3), {"w": w(4, 3)}),
    "gemm transA": ("Gemm<transA = 1>(x, w, b)", (4, 2), (2, 3), {"w": w(4, 3), "b": w(2, 3)}),
    "gemm transB": ("Gemm<transB = 1>(x, w, b)", (2, 4), (2, 3), {"w": w(3, 4), "b": w(3)}),
    "gemm alpha": ("Gemm<alpha = 0.5, beta = 2.0>(x, w, b)", (2, 4), (2, 3), {"w": w(4, 3), "b": w(1, 3)}),
    "gemm minus": ("Gemm<alpha = -0.5, beta = -2.0>(x, w, b)", (2, 4), (2, 3), {"w": w(4, 3), "b": w(3)}),
    "gemm on the right": ("Gemm<transB = 1>(w, x, b)", (2, 4), (3, 2), {"w": w(3, 4), "b": w(2)}),
    "matmul": ("MatMul(x, w)", (2, 4), (2, 3), {"w": w(4, 3)}),
    "matmul batch": ("MatMul(x, w)", (2, 3, 4), (2, 3, 2), {"w": w(2, 4, 2)}),
    "matmul on the right": ("MatMul(w, x)", (4, 2), (3, 2), {"w": w(3, 4)}),
    "conv 1d": ("Conv<pads = [1, 0]>(x, w, b)", (1, 2, 5), (1, 3, 4), {"w": w(3, 2, 3), "b": w(3)}),
    "conv 2d": ("Conv(x, w)", (2, 2, 4, 4), (2, 3, 2, 2), {"w": w(3, 2, 3, 3)}),
    "conv stride": ("Conv<strides = [2, 1], pads = [1, 0, 1, 1]>(x, w, b)", (1, 2, 5, 4), (1, 3, 3, 4),
                    {"w": w(3, 2, 3, 2), "b": w(3)}),
    "conv groups": ("Conv<group = 2, pads = [1, 1, 0, 0]>(x, w, b)", (1, 4, 3, 3), (1, 6, 3, 3),
                    {"w": w(6, 2, 2, 2), "b": w(6)}),
    "conv dilation": ("Conv<dilations = [2, 1], strides = [1, 2]>(x, w)", (1, 1, 6, 5), (1, 2, 4, 2),
                      {"w": w(2, 1, 2, 3)}),
    "conv same": ('Conv<auto_pad = "SAME_UPPER", strides = [2, 2]>(x, w)', (1, 2, 5, 4), (1, 2, 3, 2),
                  {"w": w(2, 2, 3, 3)}),
    "conv 3d": ("Conv<strides = [1, 2, 1]>(x, w, b)", (1, 1, 3, 4, 3), (1, 2, 2, 2, 2),
                {"w": w(2, 1, 2, 2, 2), "b": w(2)}),
    "convtranspose 1d": ("ConvTranspose<strides = [2]>(x, w, b)", (1, 2, 3), (1, 3, 7),
                         {"w": w(2, 3, 3), "b": w(3)}),
    "convtranspose 2d": ("ConvTranspose<strides = [2, 1], pads = [0, 1, 1, 0]>(x, w)", (1, 2, 3, 3),
                         (1, 2, 5, 3), {"w": w(2, 2, 2, 2)}),
    "average pool": ("AveragePool<kernel_shape = [2, 2], strides = [1, 2], pads = [0, 1, 1, 0]>(x)",
                     (1, 2, 3, 4), (1, 2, 3, 2), {}),
    "average pool with pads": ("AveragePool<kernel_shape = [3], pads = [1, 1], count_include_pad = 1>(x)",
                               (1, 2, 4), (1, 2, 4), {}),
    "global average pool": ("GlobalAveragePool(x)", (2, 2, 3, 2), (2, 2, 1, 1), {}),
    "add": ("Add(x, w)", (2, 3), (2, 3), {"w": w(3)}),
    "sub": ("Sub(x, w)", (2, 3), (2, 3), {"w": w(2, 3)}),
    "sub from": ("Sub(w, x)", (2, 3), (2, 3), {"w": w(2, 3)}),
    "mul": ("Mul(x, w)", (2, 3), (2, 3), {"w": w(3)}),
    "mul on the right": ("Mul(w, x)", (2, 3), (2, 3), {"w": w(2, 3)}),
    "reduce mean": ("ReduceMean<keepdims = 0>(x, axes)", (2, 3, 4), (2, 4), {"axes": np.array([1])}),
    "reduce sum": ("ReduceSum(x, axes)", (2, 3, 4), (2, 3, 1), {"axes": np.array([2])}),
    "einsum": ('Einsum<equation = "bij,jk->bki">(x, w)', (2, 3, 4), (2, 2, 3), {"w": w(4, 2)}),
    "einsum on the right": ('Einsum<equation = "jk,bij->bik">(w, x)', (2, 3, 4), (2, 3, 2), {"w": w(4, 2)}),
}  # fmt: skip

#: Layers whose weights count as one, whatever they are: the stabiliser has another size there.
UNIFORM = tuple(k for k in LAYERS if "pool" in k or k.startswith("reduce"))


def layer_model(models, name: str) -> onnx.ModelProto:
    node, shape, made, weights = LAYERS[name]
    sizes = ["double[" + ", ".join(map(str, s)) + "]" for s in (shape, made)]
    return models.make(f"m ({sizes[0]} x) => ({sizes[1]} y) {{ y = {node} }}", **weights)


def evaluator(model: ir.Model) -> Callable[..., np.ndarray]:
    session = ReferenceEvaluator(ir.to_proto(model), new_ops=CORRECTED)
    return lambda **feeds: session.run(None, feeds)[0]


def relevance(model: onnx.ModelProto, rule: Rule, x: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Walk back from relevance R through every node by one rule, in float64."""
    return relevance_of_all(model, rule, {"x": x}, R)[0]


def relevance_of_all(
    model: onnx.ModelProto, rule: Rule, feeds: dict[str, np.ndarray], R: np.ndarray
) -> list[np.ndarray]:
    normal = normalize(load(model))
    prepare(normal.model, ["relevance"], in_place=True)
    passes.Retype(frozenset({ir.DataType.FLOAT}), ir.DataType.DOUBLE)(normal.model)
    graph = normal.model.graph
    sources, output = list(graph.inputs), graph.outputs[0]
    seed = ir.Value(name="seed", type=output.type, shape=output.shape)
    graph.inputs.append(seed)
    table = Composite("one", ((Match(), rule),)).resolve(graph, [output], sources)
    op = Emitter(graph, normal.opset, scope="walk")
    found = backward(op, {output: seed}, sources, table)
    graph.outputs.clear()
    graph.outputs.extend(op.Identity(found[source], _fold=False) for source in sources)
    lower(normal.model, "cpu")  # the reference evaluator has no transposed convolution of groups
    session = ReferenceEvaluator(ir.to_proto(normal.model), new_ops=CORRECTED)
    return [np.asarray(v) for v in session.run(None, {**feeds, "seed": R})]


def dense(model: onnx.ModelProto, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return A (out, in) and b (out,) of an affine layer, by feeding it basis vectors."""
    forward = evaluator(load(model))
    b = forward(x=np.zeros(shape)).ravel()
    columns = [forward(x=e.reshape(shape)).ravel() - b for e in np.eye(int(np.prod(shape)))]
    return np.stack(columns, axis=1), b


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


def connections(layer: str, models) -> np.ndarray:
    """Which inputs reach which output: the dense matrix with all weights 1."""
    ones = {k: np.abs(v) if v.dtype.kind == "f" else v for k, v in LAYERS[layer][3].items()}
    node, shape, made, _ = LAYERS[layer]
    sizes = ["double[" + ", ".join(map(str, s)) + "]" for s in (shape, made)]
    node = node.replace("Sub(", "Add(").replace("alpha = -0.5", "alpha = 0.5")
    return dense(models.make(f"m ({sizes[0]} x) => ({sizes[1]} y) {{ y = {node} }}", **ones), shape)[0]


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
    found = ox.explain(models.conv(), x, 1, method=ox.LRP("epsilon"))
    np.testing.assert_allclose(found.delta, found.values.sum((1, 2, 3)) - found.score, rtol=1e-3, atol=1e-3)
    assert np.abs(found.delta).max() > 1e-2

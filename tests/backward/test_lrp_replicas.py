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


def zplus(A, b, x, R):
    """Only positive contributions, and the positive bias, count."""
    contributions = pos(A * x)
    return contributions.T @ (R / stab(contributions.sum(1) + pos(b)))


RULES: dict[str, tuple[Rule, Callable[..., np.ndarray]]] = {
    "epsilon": (lrp.epsilon(EPSILON), epsilon),
    "zplus": (lrp.zplus(EPSILON), zplus),
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
    "batch norm": ("BatchNormalization(x, w, b, m, v)", (2, 3, 2), (2, 3, 2),
                   {"w": w(3), "b": w(3), "m": w(3), "v": w(3) ** 2 + 0.1}),
    "add": ("Add(x, w)", (2, 3), (2, 3), {"w": w(3)}),
    "sub": ("Sub(w, x)", (2, 3), (2, 3), {"w": w(2, 3)}),
    "sum": ("ReduceMean<keepdims = 0>(x, axes)", (2, 3, 4), (2, 4), {"axes": np.array([1])}),
}  # fmt: skip

#: Layers whose weights rules with parts of weights can take apart; for the others such rules do as epsilon.
WEIGHTED = tuple(k for k in LAYERS if k.startswith(("gemm", "matmul", "conv")))


def layer_model(models, name: str) -> onnx.ModelProto:
    node, shape, made, weights = LAYERS[name]
    sizes = ["double[" + ", ".join(map(str, s)) + "]" for s in (shape, made)]
    return models.make(f"m ({sizes[0]} x) => ({sizes[1]} y) {{ y = {node} }}", **weights)


def evaluator(model: ir.Model) -> Callable[..., np.ndarray]:
    session = ReferenceEvaluator(ir.to_proto(model), new_ops=CORRECTED)
    return lambda **feeds: session.run(None, feeds)[0]


def relevance(model: onnx.ModelProto, rule: Rule, x: np.ndarray, R: np.ndarray) -> np.ndarray:
    """Walk back from relevance R through every node by one rule, in float64."""
    normal = normalize(load(model))
    passes.Retype(frozenset({ir.DataType.FLOAT}), ir.DataType.DOUBLE)(normal.model)
    graph = normal.model.graph
    source, output = graph.inputs[0], graph.outputs[0]
    seed = ir.Value(name="seed", type=output.type, shape=output.shape)
    graph.inputs.append(seed)
    table = Composite("one", ((Match(), rule),)).resolve(graph, [output], [source])
    op = Emitter(graph, normal.opset, scope="walk")
    found = backward(op, {output: seed}, [source], table.functions)[source]
    graph.outputs.clear()
    graph.outputs.append(op.Identity(found, _fold=False))
    lower(normal.model, "cpu")  # the reference evaluator has no transposed convolution of groups
    return evaluator(normal.model)(x=x, seed=R)


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
    replica = formula if layer in WEIGHTED else epsilon
    expected = replica(A, b, x.ravel(), R.ravel()).reshape(shape)
    found = relevance(model, chosen, x, R)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("rule", RULES)
def test_knowing_that_an_input_is_positive_changes_nothing(rule, models) -> None:
    """After a ReLU the branches for negative inputs are left out."""
    chosen, formula = RULES[rule]
    matrix = w(4, 3)
    graph = "m (double[2, 4] x) => (double[2, 3] y) { r = Relu(x) y = MatMul(r, w) }"
    rules = Composite("one", ((Match(ops=("MatMul",)), chosen), (Match(), Pass())))
    x = np.random.default_rng(2).standard_normal((2, 4))
    found = ox.explain(models.make(graph, w=matrix), x, 0, method=ox.LRP(rules)).values
    for k in range(2):
        r = pos(x[k])
        expected = formula(matrix.T, np.zeros(3), r, np.array([r @ matrix[:, 0], 0, 0]))
        np.testing.assert_allclose(found[k], expected, atol=1e-12)


def test_a_weight_rule_needs_one_active_operand(models) -> None:
    model = models.make("m (float[N, 2, 2] x) => (float[N, 2, 2] y) { t = Relu(x) y = MatMul(x, t) }")
    rules = Composite("one", ((Match(ops=("MatMul",)), lrp.zplus()), (Match(), Pass())))
    with pytest.raises(UnsupportedRuleError, match=r"'zplus' .* MatMul node .* 'epsilon'"):
        ox.explain(model, models.random(1, 2, 2), (0, 0), method=ox.LRP(rules))


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

"""DeepLIFT's rules, operator by operator, in float64: what they must sum to, and replicas of the formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from differences import RULES, explained, numbers
from relevance_formulas import neg, pos

from onnxplain.errors import UnsupportedRuleError
from onnxplain.graph.load import load
from onnxplain.testing.reference import Evaluator

if TYPE_CHECKING:
    import onnx

every_rule = pytest.mark.parametrize("rule", RULES)


def positive(*shape: int, seed: int = 0) -> np.ndarray:
    return np.abs(numbers(*shape, seed=seed)) + 0.1


RECURRENT = """
  t = Transpose<perm = [1, 0, 2]>(x) all, last = {}(t, w, r, b)
  h = Transpose<perm = [1, 0, 2]>(last) z = Flatten(h)
"""

ATTENTION = """
  q = MatMul(x, w) k = MatMul(x, v) t = Transpose<perm = [0, 2, 1]>(k) s = MatMul(q, t)
  m = Add(s, mask) p = Softmax(m) z = MatMul(p, x)
"""

MOVERS = """
  t = Transpose<perm = [0, 2, 1]>(x) p = Pad(t, pads) a, b = Split<axis = 1, num_outputs = 2>(p)
  m = Mul(a, b) z = Concat<axis = 2>(m, a)
"""

SLOPE = "s = Tanh(x) t = Relu(x) u = Mul(s, t) v = ReduceSum(u, last) z = PRelu(x, v)"

#: A state, slices that vary, a captured value that varies, and a result of each step.
SCAN = """
  t = Transpose<perm = [1, 0, 2]>(x)
  m = ReduceMean<keepdims = 0>(t, zeroth)
  last, all = Scan<num_scan_inputs = 1, body = step (double[2, 3] h, double[2, 3] s) =>
      (double[2, 3] g, double[2, 3] o) {
    p = Mul(h, s) q = Add(p, m) g = Tanh(q) e = Exp(s) u = Mul(e, g) o = Div(u, m)
  }>(start, t)
  turned = Transpose<perm = [1, 0, 2]>(all)
  flat = Flatten(turned)
  z = Concat<axis = 1>(last, flat)
"""

LOOP = """
  g = Exp(x)
  last, all = Loop(n, yes, x) <body = step (int64 i, bool c, double[2, 4] h) =>
      (bool go, double[2, 4] k, double[2, 4] o) {
    p = Mul(h, g) q = Mul(p, row) k = Sigmoid(q) o = Div(k, g) go = Identity(c)
  }>
  turned = Transpose<perm = [1, 0, 2]>(all)
  every = Reshape(turned, steps)
  end = Reshape(last, rows)
  z = Concat<axis = 1>(end, every)
"""

NESTED = """
  g = Exp(x)
  last = Loop(n, yes, x) <body = step (int64 i, bool c, double[2, 4] h) => (bool go, double[2, 4] k) {
    f = Tanh(h)
    k = Loop(n, yes, f) <body = inner (int64 j, bool d, double[2, 4] a) => (bool on, double[2, 4] b) {
      v = Mul(a, g) w = Mul(v, h) b = Sigmoid(w) on = Identity(d)
    }>
    go = Identity(c)
  }>
  z = Reshape(last, rows)
"""

IF = """
  g = Exp(x)
  s = ReduceSum<keepdims = 0>(g)
  c = Greater(s, s)
  z = If(c) <
    then_branch = one () => (double[2, 4] a) { a = Mul(x, row) },
    else_branch = two () => (double[2, 4] b) { t = Sigmoid(x) b = Mul(t, g) }>
"""

# what x (2, ...) becomes in z, the shape of x for one sample, the number of scores, weights
CASES: dict[str, tuple[str, tuple[int, ...], int, dict[str, Any]]] = {
    "relu": ("z = Relu(x)", (6,), 6, {}),
    "sigmoid": ("z = Sigmoid(x)", (6,), 6, {}),
    "tanh behind a layer": ("a = Gemm(x, w, b) z = Tanh(a)", (6,), 4, {"w": numbers(6, 4), "b": numbers(4)}),
    "leaky relu": ("z = LeakyRelu<alpha = 0.2>(x)", (6,), 6, {}),
    "prelu": ("z = PRelu(x, s)", (6,), 6, {"s": numbers(6)}),
    "prelu with a computed slope": (SLOPE, (6,), 6, {"last": np.array([1])}),
    "clip": ("z = Clip(x, low, high)", (6,), 6, {"low": np.array(-0.5), "high": np.array(0.7)}),
    "abs": ("z = Abs(x)", (6,), 6, {}),
    "neg": ("z = Neg(x)", (6,), 6, {}),
    "exp": ("z = Exp(x)", (6,), 6, {}),
    "softplus": ("z = Softplus(x)", (6,), 6, {}),
    "gelu": ("z = Gelu(x)", (6,), 6, {}),
    "square": ("z = Pow(x, two)", (6,), 6, {"two": np.array(2.0)}),
    "cube": ("z = Pow(x, three)", (6,), 6, {"three": np.array(3.0)}),
    "power": ("a = Abs(x) b = MatMul(x, w) z = Pow(a, b)", (6,), 6, {"w": numbers(6, 6) / 3}),
    "sqrt": ("a = Abs(x) z = Sqrt(a)", (6,), 6, {}),
    "reciprocal": ("a = Exp(x) z = Reciprocal(a)", (6,), 6, {}),
    "silu written out": ("s = Sigmoid(x) z = Mul(x, s)", (6,), 6, {}),
    "gelu written out": ("d = Div(x, root) e = Erf(d) u = Add(e, one) m = Mul(x, u) z = Mul(m, half)",
                         (6,), 6,
                         {"root": np.array(2**0.5), "one": np.array(1.0), "half": np.array(0.5)}),
    "leaky relu written out": ("s = Mul(x, slope) z = Max(x, s)", (6,), 6, {"slope": np.array(0.1)}),
    "a choice written out": ("c = Greater(x, zero) e = Exp(x) z = Where(c, x, e)",
                             (6,), 6, {"zero": np.array(0.0)}),
    "square as a product": ("z = Mul(x, x)", (6,), 6, {}),
    "product": ("a = MatMul(x, w) b = Relu(x) z = Mul(a, b)", (6,), 6, {"w": numbers(6, 6)}),
    "product with a row": ("a = ReduceMean(x, last) z = Mul(x, a)", (6,), 6, {"last": np.array([1])}),
    "quotient": ("e = Exp(x) a = MatMul(x, w) z = Div(a, e)", (6,), 6, {"w": numbers(6, 6)}),
    "quotient by a row": ("e = Exp(x) a = ReduceMean(e, last) z = Div(x, a)",
                          (6,), 6, {"last": np.array([1])}),
    "constant over x": ("e = Exp(x) z = Div(one, e)", (6,), 6, {"one": np.array(1.0)}),
    "x over a constant": ("e = Exp(x) z = Div(e, row)", (6,), 6, {"row": positive(6)}),
    "sum": ("a = Relu(x) b = MatMul(x, w) z = Sum(a, b, x)", (6,), 6, {"w": numbers(6, 6)}),
    "difference": ("a = Relu(x) b = MatMul(x, w) z = Sub(a, b)", (6,), 6, {"w": numbers(6, 6)}),
    "mean": ("a = Relu(x) b = MatMul(x, w) z = Mean(a, b)", (6,), 6, {"w": numbers(6, 6)}),
    "maximum": ("a = MatMul(x, w) z = Max(x, a)", (6,), 6, {"w": numbers(6, 6)}),
    "minimum of three": ("a = MatMul(x, w) b = MatMul(x, v) z = Min(x, a, b)", (6,), 6,
                         {"w": numbers(6, 6), "v": numbers(6, 6, seed=1)}),
    "remainder": ("a = MatMul(x, w) b = Exp(x) z = Mod<fmod = 1>(a, b)", (6,), 6, {"w": numbers(6, 6)}),
    "attention": (ATTENTION, (3, 4), 12,
                  {"w": numbers(4, 4), "v": numbers(4, 4, seed=1), "mask": np.zeros(1)}),
    "masked attention": (ATTENTION, (3, 4), 12,
                         {"w": numbers(4, 4), "v": numbers(4, 4, seed=1),
                          "mask": np.triu(np.full((3, 3), -np.inf), 1)}),
    "gemm of two": ("a = Relu(x) z = Gemm<transB = 1, alpha = 0.5>(x, a)", (6,), 2, {}),
    "einsum": ('a = Relu(x) z = Einsum<equation = "bij,bkj->bik">(x, a)', (3, 4), 9, {}),
    "softmax": ("z = Softmax(x)", (6,), 6, {}),
    "softmax along another axis": ("z = Softmax<axis = 1>(x)", (3, 4), 12, {}),
    "log softmax": ("z = LogSoftmax(x)", (6,), 6, {}),
    "layer norm": ("z = LayerNormalization(x, s, b)", (6,), 6, {"s": numbers(6), "b": numbers(6, seed=1)}),
    "instance norm": ("z = InstanceNormalization(x, s, b)",
                      (3, 4), 12, {"s": numbers(3), "b": numbers(3, seed=1)}),
    "group norm": ("g = GroupNormalization<num_groups = 2>(x, s, b) d = CastLike(g, x) z = Reshape(d, flat)",
                   (4, 3), 12,
                   {"flat": np.array([2, 12]), "s": numbers(4), "b": numbers(4, seed=1)}),
    "rms norm": ("z = RMSNormalization(x, s)", (6,), 6, {"s": numbers(6)}),
    "mvn": ("z = MeanVarianceNormalization<axes = [1, 2]>(x)", (4, 3), 12, {}),
    "l1 normalisation": ("z = LpNormalization<p = 1>(x)", (6,), 6, {}),
    "l2 normalisation": ("z = LpNormalization(x)", (6,), 6, {}),
    "lrn": ("z = LRN<size = 3, alpha = 0.5, beta = 0.75, bias = 1.0>(x)", (4, 3), 12, {}),
    "batch norm": ("z = BatchNormalization(x, s, b, m, v)", (4, 3), 12,
                   {"s": numbers(4), "b": numbers(4, seed=1), "m": numbers(4, seed=2), "v": positive(4)}),
    "batch norm of a sum": ("a = Relu(x) s = Add(x, a) n = BatchNormalization(s, w, b, m, v) z = Tanh(n)",
                            (4, 3), 12,
                            {"w": numbers(4), "b": numbers(4, seed=1), "m": numbers(4, seed=2),
                             "v": positive(4)}),
    "gemm with a computed bias": ("a = Relu(x) g = Gemm(x, w, a) z = Tanh(g)", (6,), 6, {"w": numbers(6, 6)}),
    "max pool": ("z = MaxPool<kernel_shape = [3], strides = [1], pads = [1, 1]>(x)", (2, 6), 12, {}),
    "global max pool": ("z = GlobalMaxPool(x)", (2, 6), 2, {}),
    "average pool": ("z = AveragePool<kernel_shape = [2]>(x)", (2, 6), 10, {}),
    "lp pool": ("z = LpPool<kernel_shape = [2], p = 3>(x)", (2, 6), 10, {}),
    "lp pool, dilations of 1": ("z = LpPool<kernel_shape = [2], dilations = [1]>(x)", (2, 6), 10, {}),
    "global lp pool": ("z = GlobalLpPool(x)", (2, 6), 2, {}),
    "conv": ("c = Conv<pads = [1, 1]>(x, w, b) z = Relu(c)",
             (2, 6), 18, {"w": numbers(3, 2, 3), "b": numbers(3)}),
    "conv with computed weights": ("k = Slice(x, no, one, no) z = Conv(x, k)", (2, 6), 1,
                                   {"no": np.array([0]), "one": np.array([1])}),
    "transposed conv": ("c = ConvTranspose<strides = [2]>(x, w) z = Relu(c)",
                        (2, 4), 27, {"w": numbers(2, 3, 3)}),
    "reduce max": ("z = ReduceMax(x, axes)", (3, 4), 3, {"axes": np.array([2])}),
    "reduce min": ("z = ReduceMin<keepdims = 0>(x, axes)", (3, 4), 4, {"axes": np.array([1])}),
    "reduce l1": ("z = ReduceL1(x, axes)", (3, 4), 3, {"axes": np.array([2])}),
    "reduce l2": ("z = ReduceL2<keepdims = 0>(x, axes)", (3, 4), 3, {"axes": np.array([2])}),
    "reduce log sum": ("e = Exp(x) z = ReduceLogSum(e, axes)", (3, 4), 3, {"axes": np.array([2])}),
    "reduce log sum exp": ("z = ReduceLogSumExp<keepdims = 0>(x, axes)", (3, 4), 3, {"axes": np.array([2])}),
    "reduce sum square": ("z = ReduceSumSquare(x, axes)", (3, 4), 3, {"axes": np.array([2])}),
    "movers": (MOVERS, (3, 4), 30, {"pads": np.array([0, 1, 0, 0, 1, 2])}),
    "resize": ('r = Resize<mode = "linear">(x, none, scales) z = Relu(r)', (2, 4), 16,
               {"none": np.zeros(0), "scales": np.array([1, 1, 2], np.float32)}),
    "dynamic sizes": ("n = Shape(x) f = Reshape(x, flat) g = Reshape(f, n) z = Mul(x, g)", (3, 4), 12,
                      {"flat": np.array([-1])}),
    "lstm": (RECURRENT.format("LSTM<hidden_size = 3>"), (6, 2), 3,
             {"w": numbers(1, 12, 2), "r": numbers(1, 12, 3, seed=1), "b": numbers(1, 24, seed=2)}),
    "lstm of few steps": (RECURRENT.format("LSTM<hidden_size = 3>"), (3, 2), 3,
                          {"w": numbers(1, 12, 2), "r": numbers(1, 12, 3, seed=1),
                           "b": numbers(1, 24, seed=2)}),
    "gru": (RECURRENT.format("GRU<hidden_size = 3, linear_before_reset = 1>"), (6, 2), 3,
            {"w": numbers(1, 9, 2), "r": numbers(1, 9, 3, seed=1), "b": numbers(1, 18, seed=2)}),
    "rnn, both ways": (RECURRENT.format('RNN<hidden_size = 3, direction = "bidirectional">'), (6, 2), 6,
                       {"w": numbers(2, 3, 2), "r": numbers(2, 3, 3, seed=1), "b": numbers(2, 6, seed=2)}),
    "scan": (SCAN, (5, 3), 18, {"start": numbers(2, 3, seed=3), "zeroth": np.array([0])}),
    "loop": (LOOP, (4,), 16,
             {"n": np.array(3), "yes": np.array(True), "row": numbers(4, seed=4),
              "rows": np.array([2, 4]), "steps": np.array([2, 12])}),
    "loop in a loop": (NESTED, (4,), 4, {"rows": np.array([2, 4]), "n": np.array(2), "yes": np.array(True)}),
    "if": (IF, (4,), 4, {"row": numbers(4)}),
}  # fmt: skip

OPSETS = {"group norm": 21, "rms norm": 23}


def case(models, name: str) -> tuple[onnx.ModelProto, np.ndarray, np.ndarray]:
    body, shape, count, weights = CASES[name]
    dims = ", ".join(map(str, (2, *shape)))
    score = "flattened = Flatten(z) y = MatMul(flattened, mix)"
    graph = f"m (double[{dims}] x) => (double[2, 1] y) {{ {body} {score} }}"
    model = models.make(graph, opset=OPSETS.get(name, 20), mix=numbers(count, 1, seed=7), **weights)
    return model, numbers(2, *shape, seed=8), numbers(2, *shape, seed=9)


@every_rule
@pytest.mark.parametrize("name", CASES)
def test_attributions_sum_to_the_difference_of_the_scores(rule, name, models) -> None:
    model, x, start = case(models, name)
    found, difference = explained(model, rule, {"x": x}, {"x": start})
    total = found["x"].reshape(2, -1).sum(1)
    assert np.isfinite(found["x"]).all()
    assert np.abs(difference).min() > 1e-3
    if name in MIXES_SAMPLES:
        total, difference = total.sum(), difference.sum()
    np.testing.assert_allclose(total, difference, rtol=1e-9, atol=1e-9)


#: The weights are one sample's, the data all samples'.
MIXES_SAMPLES = ("gemm of two", "conv with computed weights")


# Replicas: the formulas of the paper on dense matrices, A (out, in) and b (out,), one sample at a time.


def rescale(layers, f, x, x0):
    """m_x = m_y dy / dx at each nonlinearity, and A^T m at each layer."""
    before, before0, steps = x, x0, []
    for A, b in layers[:-1]:
        a, a0 = A @ before + b, A @ before0 + b
        steps.append((A, (f(a) - f(a0)) / (a - a0)))
        before, before0 = f(a), f(a0)
    m = layers[-1][0].sum(0)
    for A, quotient in reversed(steps):
        m = A.T @ (m * quotient)
    return m * (x - x0)


def reveal_cancel(layers, f, x, x0):
    """Equations 3.5.1 (linear rule) and 3.5.3 (RevealCancel), entry by entry."""
    before, before0, steps = x, x0, []
    for A, b in layers[:-1]:
        dx = before - before0
        a, a0 = A @ before + b, A @ before0 + b
        raising = pos(A * dx).sum(1)  # of each output: what raises it
        lowering = neg(A * dx).sum(1)
        raised = 0.5 * (f(a0 + raising) - f(a0)) + 0.5 * (f(a0 + raising + lowering) - f(a0 + lowering))
        lowered = 0.5 * (f(a0 + lowering) - f(a0)) + 0.5 * (f(a0 + raising + lowering) - f(a0 + raising))
        parts = (raised, raising), (lowered, lowering)
        steps.append((A, dx, *(np.divide(y, a, out=np.zeros_like(a), where=a != 0) for y, a in parts)))
        before, before0 = f(a), f(a0)
    m = layers[-1][0].sum(0)
    for A, dx, up, down in reversed(steps):
        m_up, m_down = m * up, m * down
        m = np.zeros(A.shape[1])
        for j in range(A.shape[1]):
            for k in range(A.shape[0]):
                share = A[k, j] * dx[j]
                m[j] += A[k, j] * (
                    m_up[k] if share > 0 else m_down[k] if share < 0 else (m_up[k] + m_down[k]) / 2
                )
    return m * (x - x0)


REPLICAS = {"deep_lift_rescale": rescale, "deep_lift_reveal_cancel": reveal_cancel}

FUNCTIONS = {"Relu": pos, "Tanh": np.tanh, "Sigmoid": lambda a: 1 / (1 + np.exp(-a))}

#: Layers, what each one takes (for one sample), and the weights.
NETWORKS: dict[str, tuple[list[str], list[tuple[int, ...]], dict[str, np.ndarray]]] = {
    "mlp": (
        ["Gemm({}, w1, b1)", "Gemm<transB = 1, alpha = -0.5>({}, w2, b2)", "MatMul({}, w3)"],
        [(6,), (8,), (5,)],
        {"w1": numbers(6, 8), "b1": numbers(8, seed=1), "w2": numbers(5, 8, seed=2), "b2": numbers(5, seed=3),
         "w3": numbers(5, 3, seed=4)},
    ),
    "convolutions": (
        ["Conv<pads = [1, 1, 1, 1]>({}, w1, b1)", "Conv<strides = [2, 2], group = 2>({}, w2)",
         "Conv({}, w3, b3)"],
        [(2, 4, 4), (4, 4, 4), (2, 2, 2)],
        {"w1": numbers(4, 2, 3, 3), "b1": numbers(4, seed=1), "w2": numbers(2, 2, 2, 2, seed=2),
         "w3": numbers(3, 2, 2, 2, seed=3), "b3": numbers(3, seed=4)},
    ),
}  # fmt: skip


def dense(
    models, node: str, shape: tuple[int, ...], weights: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return A and b of an affine layer, by feeding it basis vectors."""
    dims = ", ".join(map(str, shape))
    graph = f"m (double[1, {dims}] x) => (double[N, M] y) {{ z = {node.format('x')} y = Flatten(z) }}"
    run = Evaluator(load(models.make(graph, **{k: v for k, v in weights.items() if k in node})))
    b = run({"x": np.zeros((1, *shape))})["y"][0]
    columns = [run({"x": e.reshape(1, *shape)})["y"][0] - b for e in np.eye(int(np.prod(shape)))]
    return np.stack(columns, 1), b


@every_rule
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_rule_is_its_formula_on_dense_matrices(rule, function, network, models) -> None:
    nodes, shapes, weights = NETWORKS[network]
    body, value = "", "x"
    for k, node in enumerate(nodes):
        last = k == len(nodes) - 1
        body += f"a{k} = {node.format(value)} " + ("" if last else f"h{k} = {function}(a{k}) ")
        value = f"a{k}" if last else f"h{k}"
    dims = ", ".join(map(str, shapes[0]))
    body += f"g = Flatten({value}) y = ReduceSum(g, axis)"
    graph = f"m (double[2, {dims}] x) => (double[2, 1] y) {{ {body} }}"
    model = models.make(graph, axis=np.array([1]), **weights)
    x, start = numbers(2, *shapes[0], seed=8), numbers(2, *shapes[0], seed=9)
    found, _ = explained(model, rule, {"x": x}, {"x": start})
    layers = [dense(models, node, shape, weights) for node, shape in zip(nodes, shapes, strict=True)]
    for k in range(2):
        expected = REPLICAS[rule](layers, FUNCTIONS[function], x[k].ravel(), start[k].ravel())
        np.testing.assert_allclose(found["x"][k].ravel(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("form", ["bias apart", "scale", "minus", "moved", "divided"])
def test_parts_pass_what_moves_shifts_and_scales_one_value(form, models) -> None:
    """A layer and what follows it are one layer, written in two steps."""
    A, b, v = numbers(6, 4), numbers(4, seed=1), numbers(4, 1, seed=2)
    steps = {
        "bias apart": ("a = MatMul(x, A) h = Add(b, a)", {"A": A, "b": b}),
        "scale": ("a = MatMul(x, A) s = Mul(a, c) h = Add(s, b)", {"A": A / SCALE, "c": SCALE, "b": b}),
        "minus": ("a = MatMul(x, A) h = Sub(b, a)", {"A": -A, "b": b}),
        "moved": ("a = MatMul(x, A) t = Transpose(a) u = Transpose(t) h = Add(u, b)", {"A": A, "b": b}),
        "divided": ("a = MatMul(x, A) s = Div(a, c) h = Add(s, b)", {"A": A * SCALE, "c": SCALE, "b": b}),
    }
    body, weights = steps[form]
    graph = f"m (double[2, 6] x) => (double[2, 1] y) {{ {body} t_ = Tanh(h) y = MatMul(t_, v) }}"
    x, start = numbers(2, 6, seed=8), numbers(2, 6, seed=9)
    found, _ = explained(
        models.make(graph, v=v, **weights), "deep_lift_reveal_cancel", {"x": x}, {"x": start}
    )
    for k in range(2):
        expected = reveal_cancel([(A.T, b), (v.T, np.zeros(1))], np.tanh, x[k], start[k])
        np.testing.assert_allclose(found["x"][k], expected, rtol=1e-10, atol=1e-10)


#: Of either sign.
SCALE = np.array([0.5, -2.0, 3.0, -0.25])

REFUSED = {
    "ScatterND": ('r = Relu(x) z = ScatterND<reduction = "mul">(x, rows, r)', {"rows": np.array([[0], [1]])}),
    "TopK": ("z, i = TopK(x, k)", {"k": np.array([2])}),
    "ReduceProd": ("z = ReduceProd(x, axes)", {"axes": np.array([1])}),
    "Det": ("r = Reshape(x, square) z = Det(r)", {"square": np.array([2, 2, 2])}),
    "Einsum": ('a = Relu(x) z = Einsum<equation = "ij,ij,ij->ij">(x, a, x)', {}),
}


@every_rule
@pytest.mark.parametrize("op_type", REFUSED)
def test_operators_without_a_form_are_refused(rule, op_type, models) -> None:
    body, weights = REFUSED[op_type]
    model = models.make(
        f"m (double[2, 4] x) => (double[N] y) {{ {body} y = ReduceSum<keepdims = 0>(z) }}", **weights
    )
    with pytest.raises(UnsupportedRuleError, match=rf"{op_type} node .* integrated_gradients"):
        explained(model, rule, {"x": numbers(2, 4)}, {"x": numbers(2, 4)})


def test_long_chains_of_nonlinearities(models) -> None:
    """Parts are made of the parts of what is before, however far back the last layer is."""
    chain = " ".join(f"a{k} = Mul(h{k}, c) t{k} = Tanh(a{k}) h{k + 1} = Add(h{k}, t{k})" for k in range(400))
    model = models.make(
        f"m (float[N, 3] x) => (float[N] y) {{ h0 = MatMul(x, w) {chain} y = MatMul(h400, v) }}",
        w=models.random(3, 3, seed=1), v=models.random(3, seed=2), c=np.float32(0.01),
    )  # fmt: skip
    x, x0 = numbers(2, 3), numbers(2, 3) / 2
    found, change = explained(model, "deep_lift_reveal_cancel", {"x": x}, {"x": x0})
    np.testing.assert_allclose(found["x"].sum(1), change, rtol=1e-8)

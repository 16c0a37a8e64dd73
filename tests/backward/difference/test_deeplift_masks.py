"""DeepLIFT where infinities and huge numbers stand for "not this one", and where slopes vary."""

from __future__ import annotations

import numpy as np
import pytest
from differences import RULES, explained, numbers

every_rule = pytest.mark.parametrize("rule", RULES)
INF = np.array(-np.inf)
TRIANGLE = np.triu(np.full((3, 3), -np.inf), 1)
ATTENTION = """q = MatMul(x, w) k = MatMul(x, v) t = Transpose<perm = [0, 2, 1]>(k) s = MatMul(q, t) {}
  p = Softmax(a) z = MatMul(p, x)"""
CASES = {
    "scaled after the mask": ATTENTION.format("m = Add(s, triangle) a = Mul(m, half)"),
    "divided after the mask": ATTENTION.format("m = Add(s, triangle) a = Div(m, half)"),
    "by a constant choice": ATTENTION.format("a = Where(keep, s, infinite)"),
    "by a floor": ATTENTION.format("m = Add(s, triangle) a = Max(m, floor)"),
    "by a huge number": ATTENTION.format("a = Where(keep, s, floor)"),
    "a row of huge numbers": ATTENTION.format("a = Where(first, s, floor)"),
    "log softmax": ATTENTION.format("l = LogSoftmax(s) a = Add(l, s)"),
    "log softmax of a mask": ATTENTION.format(
        "m = Add(s, triangle) l = LogSoftmax(m) e = Exp(l) a = Add(e, s)"
    ),
    "log-sum-exp of a mask": "q = MatMul(x, w) t = Transpose<perm = [0, 2, 1]>(q) s = MatMul(x, t)"
    " a = Add(s, triangle) e = ReduceLogSumExp(a, last) z = Mul(e, x)",
    "softmax in pieces": "q = MatMul(x, w) t = Transpose<perm = [0, 2, 1]>(q) s = MatMul(x, t)"
    " a = Add(s, triangle) m = ReduceMax(a, last) d = Sub(a, m) e = Exp(d) n = ReduceSum(e, last)"
    " p = Div(e, n) z = MatMul(p, x)",
    "a slope that varies": "q = MatMul(x, w) t = Tanh(q) r = PRelu(q, t) z = Tanh(r)",
    "a slope of each row": "q = MatMul(x, w) t = ReduceMean(q, last) r = PRelu(q, t) z = Tanh(r)",
    "a bound that varies": "q = MatMul(x, w) b = ReduceMin<keepdims = 0>(x) z = Clip(q, b)",
    "an upper bound that varies": "q = MatMul(x, w) b = ReduceMax<keepdims = 0>(x) z = Clip(q, none, b)",
    "the largest as a mask": "q = MatMul(x, w) m = ReduceMax(q, last) c = Equal(q, m) g = Cast<to = 11>(c)"
    " z = Mul(g, q)",
    "a choice of two that vary": "q = MatMul(x, w) e = Exp(x) c = Less(q, e) z = Where(c, q, e)",
}  # fmt: skip
WEIGHTS = {
    "w": numbers(4, 4), "v": numbers(4, 4, seed=1), "triangle": TRIANGLE, "half": np.array(0.5),
    "none": np.array(-0.5),
    "keep": TRIANGLE == 0, "infinite": INF, "floor": np.array(-1e38), "last": np.array([2]),
    "first": np.arange(3)[:, None] + np.zeros((3, 3)) < 1,
}  # fmt: skip


@every_rule
@pytest.mark.parametrize("name", CASES)
def test_sums_close(rule, name, models) -> None:
    score = "flat = Flatten(z) y = MatMul(flat, mix)"
    graph = f"m (double[2, 3, 4] x) => (double[2, 1] y) {{ {CASES[name]} {score} }}"
    used = {k: v for k, v in WEIGHTS.items() if k in graph}
    model = models.make(graph, opset=20, mix=numbers(12, 1, seed=7), **used)
    for start in (numbers(2, 3, 4, seed=9), np.zeros((2, 3, 4))):
        found, difference = explained(model, rule, {"x": numbers(2, 3, 4, seed=8)}, {"x": start})
        assert np.isfinite(found["x"]).all()
        np.testing.assert_allclose(found["x"].sum(), difference.sum(), rtol=1e-9, atol=1e-9)

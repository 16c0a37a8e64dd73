"""DeepLIFT where values jump: steps, comparisons, truth values, choices; and what it cannot follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from differences import RULES, explained, numbers

from onnxplain.errors import UnsupportedRuleError

every_rule = pytest.mark.parametrize("rule", RULES)
W = {"w": 2 * numbers(6, 6, seed=1)}
BRANCHES = """If(c) <
  then_branch = one () => (double[2, 6] p) { p = Mul(x, a) },
  else_branch = two () => (double[2, 6] q) { t = Sigmoid(x) q = Mul(t, a) }>"""
MOVED = """c = Less(x, a) t = Transpose(c) u = Unsqueeze(t, last) f = Cast<to = 1>(u) g = Cast<to = 11>(f)
  z = Squeeze(g, last)"""
WHOLE = """c = Greater(x, half) i = Cast<to = 7>(a) j = Cast<to = 7>(x) k = Where(c, i, j)
  z = Cast<to = 11>(k)"""

#: What x (2, 6) becomes in z, as many numbers, and the weights; a is another value that varies.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "floor": ("z = Floor(a)", {}),
    "ceil": ("z = Ceil(a)", {}),
    "round": ("z = Round(a)", {}),
    "sign": ("z = Sign(a)", {}),
    "round of a product": ("r = Round(a) m = Mul(r, x) z = Tanh(m)", {}),
    "straight into": ("z = Floor(x)", {}),
    "hardmax": ("z = Hardmax(a)", {}),
    "hardmax over rows": ("z = Hardmax<axis = 0>(a)", {}),
    "shrink": ("z = Shrink<lambd = 0.5, bias = 0.1>(a)", {}),
    "comparison": ("c = Greater(x, a) z = Cast<to = 11>(c)", {}),
    "comparison with a row": ("s = ReduceMean(x, last) c = LessOrEqual(a, s) z = Cast<to = 11>(c)", {}),
    "comparison with a number": ("c = Less(a, half) z = Cast<to = 11>(c)", {}),
    "gate": ("c = GreaterOrEqual(x, a) g = Cast<to = 11>(c) z = Mul(g, x)", {}),
    "equal after rounding": ("r = Round(x) s = Round(a) c = Equal(r, s) z = Cast<to = 11>(c)", {}),
    "not": ("c = Less(x, a) d = Not(c) z = Cast<to = 11>(d)", {}),
    "and": ("c = Less(x, a) d = Greater(a, half) e = And(c, d) z = Cast<to = 11>(e)", {}),
    "or": ("c = Less(x, a) d = Greater(a, half) e = Or(c, d) z = Cast<to = 11>(e)", {}),
    "xor": ("c = Less(x, a) d = Greater(a, half) e = Xor(c, d) z = Cast<to = 11>(e)", {}),
    "a band": ("c = Less(a, half) d = Greater(a, low) e = And(c, d) z = Cast<to = 11>(e)", {}),
    "moved truth": (MOVED, {}),
    "to whole numbers": ("i = Cast<to = 7>(a) z = Cast<to = 11>(i)", {}),
    "nonzero": ("r = Round(a) c = Cast<to = 9>(r) z = Cast<to = 11>(c)", {}),
    "choice": ("c = Greater(x, half) z = Where(c, a, x)", {}),
    "choice by two": ("c = Greater(x, a) e = Exp(x) z = Where(c, e, a)", {}),
    "choice of a constant": ("c = Greater(a, half) z = Where(c, half, x)", {}),
    "choice by a row": ("s = ReduceSum(x, last) c = Greater(s, low) z = Where(c, a, x)", {}),
    "choice by and": ("c = Greater(a, low) d = Less(x, half) e = And(c, d) z = Where(e, a, x)", {}),
    "choice of rounded": (WHOLE, {}),
    "safe division": ("r = Relu(a) c = Greater(r, zero) d = Div(x, r) z = Where(c, d, zero)", {}),
    "safe logarithm": ("r = Relu(a) c = Greater(r, zero) l = Log(r) z = Where(c, l, x)", {}),
    "if": (f"s = ReduceSum<keepdims = 0>(a) c = Greater(s, zero) z = {BRANCHES}", {}),
    "if, by the same as its branches": (
        f"s = ReduceMean<keepdims = 0>(x) r = ReduceMax<keepdims = 0>(a) c = Less(s, r) z = {BRANCHES}", {}
    ),
    "if, then on": (f"s = ReduceSum<keepdims = 0>(a) c = Less(s, zero) v = {BRANCHES} z = Tanh(v)", {}),
}  # fmt: skip
SHARED = {"half": np.array(0.5), "low": np.array(-0.5), "zero": np.array(0.0), "last": np.array([1]), **W}


def made(models, body: str, weights: dict[str, Any]) -> Any:
    score = "flat = Reshape(z, rows) y = MatMul(flat, mix)"
    graph = f"m (double[2, 6] x) => (double[1, 1] y) {{ a = MatMul(x, w) {body} {score} }}"
    names = {k: v for k, v in {**SHARED, **weights}.items() if k in graph}
    return models.make(graph, opset=20, mix=numbers(12, 1, seed=7), rows=np.array([1, 12]), **names)


#: Where some choices differ, where hardly any does, and where nothing is negative.
POINTS = {
    "apart": (numbers(2, 6, seed=8), numbers(2, 6, seed=9)),
    "near": (numbers(2, 6, seed=8), numbers(2, 6, seed=8) + 0.02),
    "turned": (-np.abs(numbers(2, 6, seed=8)), np.abs(numbers(2, 6, seed=9))),
    "back": (np.abs(numbers(2, 6, seed=8)), -np.abs(numbers(2, 6, seed=9))),
}


@every_rule
@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("name", CASES)
def test_jumps_sum_to_the_difference_of_the_scores(rule, points, name, models) -> None:
    body, weights = CASES[name]
    x, start = POINTS[points]
    found, difference = explained(made(models, body, weights), rule, {"x": x}, {"x": start})
    assert np.isfinite(found["x"]).all()
    np.testing.assert_allclose(found["x"].sum(), difference.sum(), rtol=1e-9, atol=1e-9)
    if points != "near":
        assert abs(difference.sum()) > 1e-3


def test_scores_are_those_of_the_branch_that_the_reference_takes(models) -> None:
    model = made(models, *CASES["if"])
    (x, start), (back, forth) = POINTS["turned"], POINTS["back"]
    there = explained(model, RULES[0], {"x": x}, {"x": start})[1]
    again = explained(model, RULES[0], {"x": start}, {"x": x})[1]
    np.testing.assert_allclose(there, -again)
    assert x is not back
    assert start is not forth


#: What is lost would be missing from the sum.
REFUSED = {
    "ArgMax": "i = ArgMax<axis = 1>(a) f = Cast<to = 11>(i) z = Mul(x, f)",
    "Gather": "i = Cast<to = 7>(x) j = Clip(i, none, one) g = Gather(a, j) s = ReduceMean(g, last)"
    " z = Add(x, s)",
    "OneHot": "i = ArgMax<axis = 1, keepdims = 0>(a) o = OneHot(i, six, values) z = Mul(x, o)",
    "Loop": """s = ReduceMean<keepdims = 0>(a) n = Cast<to = 7>(s)
      z = Loop(n, yes, x) <body = step (int64 i, bool c, double[2, 6] h) => (bool on, double[2, 6] k)
        { k = Tanh(h) on = Identity(c) }>""",
    "condition": """
      z = Loop(two, yes, x) <body = step (int64 i, bool c, double[2, 6] h) => (bool on, double[2, 6] k)
        { k = Tanh(h) s = ReduceMean<keepdims = 0>(h) on = Less(s, zero) }>""",
    "inside": """
      z = Loop(two, yes, x) <body = step (int64 i, bool c, double[2, 6] h) => (bool on, double[2, 6] k)
        { t = Tanh(h) j = ArgMax<axis = 1>(t) f = Cast<to = 11>(j) k = Mul(t, f) on = Identity(c) }>""",
}
MORE = {"none": np.array(0), "one": np.array(1), "six": np.array(6), "values": np.array([0.0, 1.0]),
        "yes": np.array(True), "two": np.array(2)}  # fmt: skip


@every_rule
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_followed_is_refused_by_name(rule, name, models) -> None:
    model = made(models, REFUSED[name], MORE)
    x, start = POINTS["apart"]
    words = {"condition": "how often", "inside": "ArgMax", "OneHot": "ArgMax"}.get(name, f"{name} node")
    with pytest.raises(UnsupportedRuleError, match=rf"{words}.*integrated_gradients"):
        explained(model, rule, {"x": x}, {"x": start})

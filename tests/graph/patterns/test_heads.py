"""The link that scores end in: what enters it has the same order."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.graph import facts
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.patterns.heads import before_link

#: Body, and what is found: the value before the link and its operator.
LINKS = {
    "a = MatMul(x, w) y = Sigmoid(a)": ("a", "Sigmoid"),
    "a = MatMul(x, w) y = Softmax(a)": ("a", "Softmax"),
    "a = MatMul(x, w) y = LogSoftmax(a)": ("a", "LogSoftmax"),
    "a = MatMul(x, w) y = Exp(a)": ("a", "Exp"),
    "a = MatMul(x, w) s = Softmax(a) y = Mul(s, two)": ("a", "Softmax"),
    "a = MatMul(x, w) s = Softmax(a) y = Mul(two, s)": ("a", "Softmax"),
    "a = MatMul(x, w) e = Exp(a) f = Mul(e, each) y = Sub(f, two)": ("a", "Exp"),
    "a = MatMul(x, w) b = Neg(a) p = Pow(two, b) n = Neg(p) y = Add(n, two)": ("a", "Pow"),
    "a = MatMul(x, w) p = Pow(half, a) y = Neg(p)": ("a", "Pow"),
    "a = MatMul(x, w) p = Pow(half, a) y = Mul(p, minus)": ("a", "Pow"),
    "a = MatMul(x, w) e = Exp(a) y = Identity(e)": ("a", "Exp"),
    "a = MatMul(x, w) p = Pow(half, a) y = Sub(two, p)": ("a", "Pow"),
    "a = MatMul(x, w) p = Pow(half, a) y = Div(p, two)": None,  # falls, and there is nothing to turn it round
    "a = MatMul(x, w) e = Exp(a) y = Neg(e)": None,
    "a = MatMul(x, w) s = Softmax(a) y = Neg(s)": None,
    "a = MatMul(x, w) e = Exp(a) y = Mul(e, mixed)": None,
    "a = MatMul(x, w) e = Exp(a) y = Div(two, e)": None,
    "a = MatMul(x, w) e = Exp(a) y = Pow(e, two)": None,
    "a = MatMul(x, w) e = Exp(a) y = Add(e, rows)": None,  # as many scores more
    "a = MatMul(x, w) y = Mul(a, two)": None,
    "e = Exp(x) y = MatMul(e, w)": None,
}


@pytest.mark.parametrize("body", LINKS)
def test_links(body: str, models) -> None:
    model = models.make(
        f"m (float[N, 3] x) => (float[M, 2] y) {{ {body} }}",
        w=models.random(3, 2), two=2.0, half=[0.5], each=[2.0, 3.0], minus=-1.0, mixed=[1.0, -1.0],
        rows=np.ones((4, 1), np.float32),
    )  # fmt: skip
    graph = normalize(load(model)).model.graph
    assert facts.rank(graph.outputs[0]) == 2
    found = before_link(graph.outputs[0])
    assert (None if found is None else (found[0].name, found[1])) == LINKS[body]

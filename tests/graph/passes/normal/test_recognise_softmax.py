"""Softmax that an exporter wrote out becomes Softmax, and nothing else does."""

from __future__ import annotations

import re

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.testing.reference import Evaluator

LAST, MINUS, FIRST = np.array([-1]), np.array(-np.inf, np.float32), np.array([1])

# name: (graph from x (N, 5) or (N, 4, 5) to y, weights)
SOFTMAX = {
    "plain": ("e = Exp(x) s = ReduceSum(e, last) y = Div(e, s)", (3, 5)),
    "shifted": ("m = ReduceMax(x, last) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, last) y = Div(e, s)",
                (3, 5)),
    "three axes": ("m = ReduceMax(x, last) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, last) y = Div(e, s)",
                   (3, 4, 5)),
    "another axis": ("e = Exp(x) s = ReduceSum(e, first) y = Div(e, s)", (3, 4, 5)),
    "reshaped and expanded": (
        """m = ReduceMax<keepdims = 0>(x, last) l = Max(low, m) k = Unsqueeze(l, last) z = Shape(x)
           w = Expand(k, z) d = Sub(x, w) e = Exp(d) s = ReduceSum<keepdims = 0>(e, last)
           t = Unsqueeze(s, last) v = Expand(t, z) y = Div(e, v)""", (3, 5)),
}  # fmt: skip

OTHER = {
    "sum of all": ("e = Exp(x) s = ReduceSum(e) y = Div(e, s)", (3, 5)),
    "sum of something else": ("e = Exp(x) f = Exp(e) s = ReduceSum(f, last) y = Div(e, s)", (3, 5)),
    "mean": ("e = Exp(x) s = ReduceMean(e, last) y = Div(e, s)", (3, 5)),
    "columns for rows": ("e = Exp(x) s = ReduceSum<keepdims = 0>(e, last) y = Div(e, s)", (5, 5)),
}  # fmt: skip


def model(models, body, shape):
    dims = ", ".join(["N", *map(str, shape[1:])])
    weights = {"last": LAST, "first": FIRST, "low": MINUS}
    words = set(re.findall(r"\w+", body))
    used = {k: v for k, v in weights.items() if k in words}
    return models.make(f"m (float[{dims}] x) => (float[{dims}] y) {{ {body} }}", **used)


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@pytest.mark.parametrize("case", SOFTMAX)
def test_it_becomes_softmax(case, models) -> None:
    body, shape = SOFTMAX[case]
    made = normalize(load(model(models, body, shape))).model
    x = models.random(*shape, scale=30.0)
    assert [n.op_type for n in made.graph] == ["Softmax"]
    np.testing.assert_allclose(
        Evaluator(made)({"x": x})["y"], softmax(x, 1 if "first" in body else -1), atol=1e-6
    )


@pytest.mark.parametrize("case", OTHER)
def test_what_is_no_softmax_stays(case, models) -> None:
    body, shape = OTHER[case]
    made = normalize(load(model(models, body, shape))).model
    assert "Softmax" not in [n.op_type for n in made.graph]


def test_a_classifier_that_ends_in_it_is_explained_at_the_score(models) -> None:
    body, shape = SOFTMAX["shifted"]
    x = models.random(*shape)
    found = ox.explain(model(models, body, shape), x, 2, method="input_x_gradient")
    np.testing.assert_allclose(found.score, x[:, 2])
    np.testing.assert_allclose(found.predictions, softmax(x, -1), rtol=1e-5)
    assert any("Softmax" in note for note in found.notes)

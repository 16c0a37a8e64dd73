"""Which operand of a product is the signal."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

import onnxplain.backward.ops  # noqa: F401  (fills the table by which paths are found)
from onnxplain.backward.engine import between
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.patterns.gates import signal

WEIGHTS = {
    "w": np.ones((3, 3), np.float32), "bias": np.array([1.0, 2.0, 3.0], np.float32),
    "zero": np.float32(0), "half": np.float32(0.5), "one": np.float32(1), "ones": np.ones(3, np.float32),
    "three": np.float32(3), "six": np.float32(6), "minus": np.float32(-1), "two": np.float32(2),
    "shape": np.array([4, 3]), "flat": np.array([-1]), "axes": np.array([1]), "start": np.array([0]),
    "lengths": np.array([1, 2, 3, 3]), "stop": np.array([3]), "rows": np.array([0, 1, 2, 3]),
    "scores": np.array([[0.5] * 3] * 4, np.float32),
}  # fmt: skip


def position(models, body: str, product: str = "y") -> int | None:
    """Return the signal of the product y in a model with s = s(x) and a = a(x), both (4, 3)."""
    proto = models.make(
        f"""m (float[4, 3] x, float[4, 3] aside, bool[4, 3] keep, int64[2] target) => (float[A, B] out) {{
          s = MatMul(x, w) a = Add(s, bias) {body} out = Flatten(y)
        }}""",
        **WEIGHTS,
    )
    graph = normalize(load(proto)).model.graph
    _, reached = between(graph, graph.outputs, graph.inputs[:1])
    (node,) = (n for n in graph if n.outputs[0].name == product)
    return signal(node, reached)


GATES = {
    "sigmoid": "g = Sigmoid(a)",
    "hard sigmoid": "g = HardSigmoid(a)",
    "softmax": "g = Softmax(a)",
    "clip": "g = Clip(a, zero, one)",
    "clip to six": "u = Add(a, three) c = Clip(u, zero, six) g = Div(c, six)",
    "scaled": "h = Sigmoid(a) k = Mul(two, h) g = Div(k, six)",
    "masked by a factor": "h = Softmax(a) g = Mul(h, aside)",
    "masked by where": "h = Softmax(a) g = Where(keep, h, zero)",
    "masked by where, the other way": "h = Softmax(a) g = Where(keep, zero, h)",
    "moved": "h = Sigmoid(a) f = Reshape(h, flat) r = Reshape(f, shape) t = Transpose(r) g = Transpose(t)",
    "widened": "h = Sigmoid(a) u = Unsqueeze(h, axes) e = Expand(u, axes) g = Squeeze(e, axes)",
    "cut": "h = Sigmoid(a) c = Slice(h, start, stop, axes) g = Gather(c, rows)",
    "reversed": "h = Sigmoid(a) g = ReverseSequence<batch_axis = 0, time_axis = 1>(h, lengths)",
    "split": "b = Concat<axis = 1>(a, s) h = Sigmoid(b) l, g = Split<axis = 1, num_outputs = 2>(h)",
    "cast": "h = Sigmoid(a) d = Cast<to = 11>(h) g = Cast<to = 1>(d)",
    "one minus": "h = Sigmoid(a) g = Sub(one, h)",
    "ones minus": "h = Sigmoid(a) g = Sub(ones, h)",
    "ones of a shape minus": (
        "o = ConstantOfShape<value = float[1] {1.0}>(target) h = Sigmoid(a) g = Sub(o, h)"
    ),
    "one plus minus": "h = Sigmoid(a) n = Neg(h) g = Add(n, one)",
    "one plus minus, first": "h = Sigmoid(a) n = Neg(h) g = Add(one, n)",
    "one plus minus one times": "h = Sigmoid(a) n = Mul(minus, h) g = Add(n, one)",
    "one minus, moved, scaled": (
        "h = Sigmoid(a) t = Transpose(h) k = Sub(one, t) m = Mul(k, half) g = Transpose(m)"
    ),
    "one minus one minus": "h = Sigmoid(a) k = Sub(one, h) g = Sub(one, k)",
    "of the signal": "g = Sigmoid(s)",
}


@pytest.mark.parametrize("name", GATES)
def test_gates(name, models) -> None:
    assert position(models, f"{GATES[name]} y = Mul(s, g)") == 0
    assert position(models, f"{GATES[name]} y = Mul(g, s)") == 1
    assert position(models, f"{GATES[name]} v = Transpose(s) y = MatMul(g, v)") == 1
    assert position(models, f"{GATES[name]} v = Transpose(s) y = MatMul(v, g)") == 0


INVERSES = {
    "Reciprocal": "g = Reciprocal(a)",
    "of a gate": "h = Sigmoid(a) g = Div(one, h)",
    "power": "g = Pow(a, minus)",
    "root": "r = Reciprocal(a) g = Sqrt(r)",
    "scaled, moved": "r = Reciprocal(a) h = Mul(half, r) g = Transpose(h)",
}


@pytest.mark.parametrize("name", INVERSES)
def test_a_product_with_an_inverse_is_a_quotient(name, models) -> None:
    assert position(models, f"{INVERSES[name]} y = Mul(s, g)") == 0
    assert position(models, f"{INVERSES[name]} y = Mul(g, s)") == 1
    assert position(models, f"{INVERSES[name]} k = Sigmoid(s) y = Mul(g, k)") == 1
    assert position(models, f"{INVERSES[name]} k = Reciprocal(s) y = Mul(g, k)") is None


OTHERS = {
    "two gates": "g = Sigmoid(a) h = Softmax(s) y = Mul(g, h)",
    "no gate": "t = Tanh(a) y = Mul(s, t)",
    "the same twice": "y = Mul(s, s)",
    "the same gate twice": "g = Sigmoid(a) y = Mul(g, g)",
    "one active operand": "g = Sigmoid(a) y = Mul(aside, g)",
    "a constant gate": "g = Sigmoid(aside) y = Mul(s, g)",
    "no product": "g = Sigmoid(a) y = Add(s, g)",
    "a quotient": "g = Sigmoid(a) y = Div(s, g)",
    "joined": "g = Sigmoid(a) b = Concat<axis = 1>(g, g) v = Concat<axis = 1>(s, s) y = Mul(b, v)",
    "added to": "h = Sigmoid(a) g = Add(h, one) y = Mul(s, g)",
    "less one": "h = Sigmoid(a) g = Sub(h, one) y = Mul(s, g)",
    "two minus": "h = Sigmoid(a) g = Sub(two, h) y = Mul(s, g)",
    "one minus twice": "h = Sigmoid(a) k = Mul(h, two) g = Sub(one, k) y = Mul(s, g)",
    "one minus an unknown multiple": "h = Sigmoid(a) k = Mul(h, aside) g = Sub(one, k) y = Mul(s, g)",
    "one minus a signal": "g = Sub(one, a) y = Mul(s, g)",
    "two gates multiplied": "g = Sigmoid(a) h = Softmax(s) p = Mul(g, h) y = Mul(s, p)",
    "a choice of two": "g = Sigmoid(a) c = Where(keep, g, a) y = Mul(s, c)",
    "clip below zero": "g = Clip(a, minus, one) y = Mul(s, g)",
    "clip open above": "g = Clip(a, zero) y = Mul(s, g)",
    "clip open below": "g = Clip(a, , one) y = Mul(s, g)",
    "clip without bounds": "g = Clip(a) y = Mul(s, g)",
    "logarithm of a softmax": "g = LogSoftmax(a) y = Mul(s, g)",
    "function of a gate": "h = Sigmoid(a) g = Tanh(h) y = Mul(s, g)",
    "sum of gates": "h = Sigmoid(a) k = Softmax(s) g = Add(h, k) y = Mul(s, g)",
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_signal_and_gate(name, models) -> None:
    assert position(models, OTHERS[name]) is None


def test_lstm(models) -> None:
    """Of each of the three products of a step, the state is the signal."""
    body = """
      i = Sigmoid(a) f = Sigmoid(s) t = Tanh(a) kept = Mul(f, s) new = Mul(i, t) c = Add(kept, new)
      o = Tanh(c) q = Sigmoid(c) y = Mul(q, o)"""
    assert [position(models, body, product) for product in ("kept", "new", "y")] == [1, 1, 1]


def test_gru(models) -> None:
    body = "z = Sigmoid(a) n = Tanh(s) q = Sub(one, z) new = Mul(q, n) old = Mul(z, s) y = Add(new, old)"
    assert [position(models, body, product) for product in ("new", "old")] == [1, 1]


def test_attention(models) -> None:
    """Values are the signal of the weighted sum; the product of queries and keys has none."""
    body = "k = Transpose(a) qk = MatMul(s, k) d = Div(qk, two) p = Softmax(d) y = MatMul(p, a)"
    assert position(models, body) == 1
    assert position(models, body, "qk") is None


def test_long_ways(models) -> None:
    turns = " ".join(f"g{k + 1} = Transpose(g{k})" for k in range(3000))
    assert position(models, f"g0 = Sigmoid(a) {turns} y = Mul(s, g3000)") == 0


def test_foreign_operators_are_no_gates(models) -> None:
    proto = models.make(
        "m (float[N, 3] x) => (float[N, 3] y) { g = other.Sigmoid(x) y = Mul(x, g) }", domain="other"
    )
    graph = normalize(load(proto)).model.graph
    _, reached = between(graph, graph.outputs, graph.inputs)
    assert signal(graph[-1], reached) is None
    assert isinstance(graph[-1], ir.Node)
    assert signal(graph[0], reached) is None


def test_attention_by_einsum(models) -> None:
    """An Einsum of weights and values is a product like any other, in either order."""
    sums = 'p = Softmax(a) y = Einsum<equation = "nj,nj->nj">'
    assert position(models, f"{sums}(p, s)") == 1
    assert position(models, f"{sums}(s, p)") == 0
    assert position(models, 'y = Einsum<equation = "nj,nj->nj">(s, a)') is None

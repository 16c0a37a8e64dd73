"""What is read off a graph before anything runs: signs, heads, inputs and outputs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from onnxplain.graph import interface, signs
from onnxplain.graph.infer import infer_dims, infer_dtype
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.patterns.heads import before_softmax
from onnxplain.graph.signs import non_negative

WEIGHTS = {
    "plus": np.array([1.0, 0.0, 2.0], np.float32), "minus": np.array([1.0, -1.0, 2.0], np.float32),
    "zero": np.float32(0), "one": np.float32(1), "below": np.float32(-1), "axes": np.array([1]),
    "pads": np.array([0, 1]), "shape": np.array([-1, 3]), "rows": np.array([[1.0] * 3] * 3, np.float32),
}  # fmt: skip


def value(models, body: str):
    """The output y of a model with one input x (N, 3), in normal form."""
    proto = models.make(f"m (float[N, 3] x, int64[N] i) => (float[A, B] y) {{ {body} }}", **WEIGHTS)
    return normalize(load(proto)).model.graph.outputs[0]


SIGNS = {
    "y = Relu(x)": True,
    "y = Sigmoid(x)": True,
    "y = Softmax(x)": True,
    "y = Exp(x)": True,
    "y = Abs(x)": True,
    "y = Tanh(x)": False,
    "y = Neg(x)": False,
    "y = LeakyRelu(x)": False,
    "y = Elu(x)": False,
    "y = Identity(x)": False,
    "y = Clip(x, zero)": True,
    "y = Clip(x, one, one)": True,
    "y = Clip(x, below, one)": False,
    "y = Clip(x)": False,
    "y = Clip(x, , one)": False,
    "r = Relu(x) y = Add(r, r)": True,
    "r = Relu(x) y = Add(r, x)": False,
    "r = Relu(x) y = Mul(r, plus)": True,
    "r = Relu(x) y = Mul(r, minus)": False,
    "r = Relu(x) y = Sub(r, plus)": False,
    "r = Relu(x) y = MatMul(r, rows)": False,
    "r = Relu(x) t = Transpose(r) y = Reshape(t, shape)": True,
    "r = Relu(x) y = Pad(r, pads, zero, axes)": True,
    "r = Relu(x) y = Pad(r, pads, below, axes)": False,
    'r = Relu(x) y = Pad<mode = "reflect">(r, pads, , axes)': True,
    "r = Relu(x) e = Exp(x) y = Concat<axis = 1>(r, e)": True,
    "r = Relu(x) y = Concat<axis = 1>(r, x)": False,
    "r = Relu(x) y = ReduceMean(r, axes)": True,
    "y = ReduceSum(x, axes)": False,
    "y = Max(x, zero)": True,
    "r = Relu(x) y = Max(r, x)": True,
    "y = Max(x, below)": False,
    "r = Relu(x) y = Min(r, plus)": True,
    "r = Relu(x) y = Min(r, x)": False,
    "y = Mul(x, x)": True,
    "y = Gather(rows, i)": True,
}


@pytest.mark.parametrize("body", SIGNS)
def test_signs_are_never_wrong(body, models) -> None:
    """What is said to be non-negative must be; that some squares and maxima are missed does no harm."""
    missed = {"y = Max(x, zero)", "r = Relu(x) y = Max(r, x)", "y = Mul(x, x)"}
    found = non_negative(value(models, body))
    assert found == SIGNS[body] or (body in missed and not found)


def test_signs_of_long_chains(models) -> None:
    body = (
        "r0 = Relu(x) "
        + " ".join(f"r{k + 1} = Add(r{k}, r{k})" for k in range(3000))
        + " y = Identity(r3000)"
    )
    assert non_negative(load(models.make(f"m (float[3] x) => (float[3] y) {{ {body} }}")).graph.outputs[0])
    assert not non_negative(None)


def test_signs_of_all_values_cost_one_walk(models, monkeypatch) -> None:
    """Rules ask at every layer: in a residual network each question would go back to the input."""
    blocks = " ".join(f"r{k} = Relu(s{k}) s{k + 1} = Add(s{k}, r{k})" for k in range(300))
    graph = load(models.make(f"m (float[3] s0) => (float[3] y) {{ {blocks} y = Relu(s300) }}")).graph
    looked = []
    plain = signs._deciding
    monkeypatch.setattr(signs, "_deciding", lambda node: looked.append(node) or plain(node))
    seen: dict[ir.Value, bool] = {}
    found = [non_negative(node.outputs[0], seen) for node in graph]
    assert found == [*[True, False] * 300, True]
    assert len(looked) <= 2 * 300


HEADS = {
    "a = MatMul(x, rows) y = Softmax(a)": "a",
    "a = MatMul(x, rows) y = LogSoftmax(a)": "a",
    "a = MatMul(x, rows) s = Softmax(a) y = Reshape(s, shape)": "a",
    "a = MatMul(x, rows) s = Softmax(a) y = Identity(s)": "a",
    "a = MatMul(x, rows) y = Sigmoid(a)": None,
    "a = Softmax(x) y = MatMul(a, rows)": None,
    "a = Softmax(x) y = Mul(a, plus)": None,
    "y = Softmax(x)": "x",
}


@pytest.mark.parametrize("body", HEADS)
def test_heads(body, models) -> None:
    found = before_softmax(value(models, body))
    assert (None if found is None else found.name) == HEADS[body]


def describe(models, text: str, **weights: object) -> dict[str, interface.InputInfo]:
    found = interface.inputs_of(normalize(load(models.make(text, **weights))).model.graph)
    return {i.name: i for i in found}


def test_float_inputs(models) -> None:
    found = describe(models, "m (float[N, 3, ?] x, double[2] z) => (float[N] y) { y = Identity(x) }")
    x = found["x"]
    assert (x.name, x.dtype, x.shape, x.role, x.entries) == ("x", np.float32, ("N", 3, None), "float", ("x",))
    assert x.explained
    assert not x.token
    assert (found["z"].dtype, found["z"].shape) == (np.float64, (2,))


def test_token_inputs(models) -> None:
    """Followed through the operators that move integers, to every embedding."""
    text = """m (int64[N, L] ids, int32[N, L] kinds, bool[N] flag) => (float[N, L, 4] y, float[N, L, 4] z) {
      low = Sub(ids, one)
      a = Gather(table, low)
      wide = Cast<to = 7>(kinds)
      b = Gather(table, wide)
      y = Add(a, b)
      z = Gather(other, ids)
    }"""
    found = describe(models, text, one=np.array(1), table=models.random(9, 4), other=models.random(9, 4))
    assert set(found["ids"].entries) == {"a", "z"}
    assert found["kinds"].entries == ("b",)
    assert found["ids"].token
    assert found["ids"].explained
    assert found["kinds"].explained
    assert found["flag"].role == "other"
    assert not found["flag"].explained


def test_numbers_are_explained_only_where_there_is_nothing_better(models) -> None:
    text = "m (int64[N, 3] counts{more}) => (float[N, 3] y) {{ c = Cast<to = 1>(counts) y = Mul(c, w) }}"
    alone = describe(models, text.format(more=""), w=[1.0, 2, 3])["counts"]
    assert (alone.role, alone.entries, alone.explained) == ("number", ("c",), True)
    beside = describe(models, text.format(more=", float[N, 3] w"))
    assert not beside["counts"].explained
    assert beside["w"].explained


def test_outputs(models) -> None:
    model = normalize(
        load(
            models.make(
                "m (float[N, 3] x) => (float[N, 3] y, int64[N, 1] k) { y = Relu(x) k = ArgMax<axis = 1>(y) }"
            )
        )
    )
    found = {o.name: (o.dtype, o.shape) for o in interface.outputs_of(model.model.graph)}
    assert found == {"y": (np.float32, ("N", 3)), "k": (np.int64, ("N", 1))}


def test_shapes_that_are_an_inputs() -> None:
    x = ir.Value(name="x", shape=ir.Shape(["N", 4, 3]), type=ir.TensorType(ir.DataType.FLOAT))
    scale = ir.Value(name="scale", shape=ir.Shape([3]), type=ir.TensorType(ir.DataType.FLOAT))
    norm = ir.node("LayerNormalization", [x, scale], num_outputs=3)
    assert [infer_dims(norm, k) for k in range(3)] == [("N", 4, 3), None, None]
    assert infer_dims(ir.node("CumSum", [x, scale])) == ("N", 4, 3)
    assert infer_dims(ir.node("Relu", [x], domain="my.own")) is None


@pytest.mark.parametrize(
    ("attributes", "expected"), [({}, ir.DataType.DOUBLE), ({"dtype": 6}, ir.DataType.INT32)]
)
def test_an_identity_has_the_dtype_that_it_says_or_its_inputs(attributes, expected) -> None:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.DOUBLE), shape=ir.Shape([3, 3]))
    assert infer_dtype(ir.node("EyeLike", [x], attributes)) == expected

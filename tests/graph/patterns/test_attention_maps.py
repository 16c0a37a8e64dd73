"""Finding attention weights: which Softmax counts, at which value, and what its axes mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from onnxplain.errors import NotExplainableError
from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.patterns.attention_maps import AttentionMap, attention_maps

GOLDEN = Path(__file__).parents[2] / "golden" / "attention.npz"


def maps(proto: onnx.ModelProto) -> tuple[AttentionMap, ...]:
    return attention_maps(normalize(load(proto)).model.graph)


def found(models: Any, body: str, scores: str = "N, 2, 5, 5", values: str = "N, 2, 5, 3") -> list[str]:
    """Names of the weights in a body that makes y of scores s and values v."""
    text = f"m (float[{scores}] s, float[{values}] v) => (float[A, B, C, D] y) {{ {body} }}"
    text = text.replace("[A, B, C, D]", "[" + ", ".join("ABCD"[: len(values.split(","))]) + "]")
    return [m.name for m in maps(models.make(text))]


PLAIN = {
    "product": ("w = Softmax(s) y = MatMul(w, v)", ["w"]),
    "last axis by its number": ("w = Softmax<axis = 3>(s) y = MatMul(w, v)", ["w"]),
    "mask and guard": (
        """w = Softmax(s) bad = IsNaN(w) none = Constant<value_float = 0.0>()
        g = Where(bad, none, w) y = MatMul(g, v)""",
        ["g"],
    ),
    "dtype": (
        "w = Softmax(s) d = Cast<to = 11>(w) e = Cast<to = 11>(v) f = MatMul(d, e) y = Cast<to = 1>(f)",
        ["d"],
    ),
    "integers": (
        """w = Softmax(s) scale = Constant<value_float = 0.004>()
        none = Constant<value_float = 0.0>() zero = Cast<to = 2>(none)
        q = QuantizeLinear(w, scale, zero) d = DequantizeLinear(q, scale, zero) y = MatMul(d, v)""",
        ["w"],
    ),
    "half": ("w = Softmax(s) two = Constant<value_float = 2.0>() d = Div(w, two) y = MatMul(d, v)", ["w"]),
    "gates": ("w = Softmax(s) d = Mul(w, s) y = MatMul(d, v)", []),
    "batch and heads joined for the product": (
        """w = Softmax(s) one = Constant<value_ints = [-1, 5, 5]>() two = Constant<value_ints = [-1, 5, 3]>()
        a = Reshape(w, one) b = Reshape(v, two) c = MatMul(a, b) back = Constant<value_ints = [-1, 2, 5, 3]>()
        y = Reshape(c, back)""",
        ["w"],
    ),
    "rows of one matrix": (
        """flat = Constant<value_ints = [-1, 5]>() r = Reshape(s, flat) w = Softmax(r)
        shape = Constant<value_ints = [-1, 2, 5, 5]>() a = Reshape(w, shape) y = MatMul(a, v)""",
        ["a"],
    ),
    "einsum": ('w = Softmax(s) y = Einsum<equation = "bhqk,bhkd->bhqd">(w, v)', ["w"]),
    "einsum, values first": ('w = Softmax(s) y = Einsum<equation = "nhkd, nhqk -> nqhd">(v, w)', ["w"]),
    "einsum over the queries": ('w = Softmax(s) y = Einsum<equation = "bhqk,bhqd->bhkd">(w, v)', []),
    "two layers": ("a = Softmax(s) b = MatMul(a, v) c = Softmax(s) y = MatMul(c, b)", ["a", "c"]),
    "another axis": ("w = Softmax<axis = 2>(s) y = MatMul(w, v)", []),
    "right operand": ("t = Transpose<perm = [0, 1, 3, 2]>(v) w = Softmax(s) y = MatMul(t, w)", []),
    "turned around": ("w = Softmax(s) t = Transpose<perm = [0, 1, 3, 2]>(w) y = MatMul(t, v)", []),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_which_softmax_is_attention(name, models) -> None:
    body, wanted = PLAIN[name]
    assert found(models, body) == wanted


def test_rounded_weights(models) -> None:
    text = """m (float[N, 2, 5, 5] s, float[N, 2, 5, 3] v) => (float[N, 2, 5, 3] y) {
      w = Softmax(s) q = QuantizeLinear(w, scale, zero) d = DequantizeLinear(q, scale, zero) y = MatMul(d, v)
    }"""
    (one,) = maps(models.make(text, scale=np.float32(1 / 255), zero=np.uint8(0)))
    assert one.name == "d"


def test_closing_softmax_is_none(models) -> None:
    assert maps(models.mlp(softmax=True)) == ()


def test_softmax_that_picks_constants_is_none(models) -> None:
    text = "m (float[N, 4, 4] s) => (float[N, 4, 3] y) { w = Softmax(s) y = MatMul(w, c) }"
    assert maps(models.make(text, c=models.random(4, 3))) == ()


def test_softmax_over_features_is_none(models) -> None:
    text = "m (float[N, 4] s, float[4, 3] v) => (float[N, 3] y) { w = Softmax(s) y = MatMul(w, v) }"
    assert maps(models.make(text)) == ()


def test_a_torch_export() -> None:
    with np.load(GOLDEN) as content:
        (one,) = maps(onnx.load_from_string(content["model"].tobytes()))
    assert one.name == "/layer/self_attn/Softmax_output_0"
    assert one.product.op_type == "MatMul"
    assert not one.stacked
    assert not one.cross


def the_map(shape: str) -> AttentionMap:
    dims = [int(d) if d.isdigit() else d for d in shape.split()]
    value = ir.Value(name="w", shape=ir.Shape(dims), type=ir.TensorType(ir.DataType.FLOAT))
    return AttentionMap(value, ir.node("MatMul", [value, value], name="mix"))


def test_batch_and_heads_are_axes() -> None:
    array = np.random.default_rng(0).random((3, 2, 4, 4))
    one = the_map("N 2 4 4")
    assert not one.stacked
    np.testing.assert_array_equal(one.by_sample(array, 3), array)


@pytest.mark.parametrize(("copies", "heads"), [(1, 3), (3, 1), (3, 2), (2, 2)])
def test_batch_and_heads_on_one_axis(copies, heads) -> None:
    one = the_map("M 4 4")
    assert one.stacked
    apart = np.random.default_rng(0).random((1, heads, 4, 4))
    copied = np.repeat(apart, copies, axis=0)
    np.testing.assert_array_equal(one.by_sample(copied.reshape(-1, 4, 4), copies), apart)
    heads_first = copied.swapaxes(0, 1).reshape(-1, 4, 4)
    np.testing.assert_array_equal(one.by_sample(heads_first, copies), apart)


def test_heads_before_the_batch() -> None:
    one = the_map("2 N 4 4")
    assert one.stacked
    apart = np.random.default_rng(0).random((1, 2, 4, 4))
    np.testing.assert_array_equal(one.by_sample(np.repeat(apart.swapaxes(0, 1), 3, axis=1), 3), apart)


@pytest.mark.parametrize(("shape", "cross"), [("N 2 4 4", False), ("N 2 1 4", True), ("N 2 L 4", False)])
def test_attention_to_other_tokens(shape, cross) -> None:
    one = the_map(shape)
    assert one.cross == cross
    with pytest.raises(
        NotExplainableError, match=r"'w' \(into MatMul node 'mix'\) have shape \(3, 2, 1, 4\)"
    ):
        one.by_sample(np.ones((3, 2, 1, 4)), 3)


def test_windows_are_refused() -> None:
    with pytest.raises(NotExplainableError, match=r"'w' have shape \(12, 2, 4, 4\) for 3 samples"):
        the_map("M 2 4 4").by_sample(np.ones((12, 2, 4, 4)), 3)


def test_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(NotExplainableError, match="does not hold heads for 3 samples"):
        the_map("M 4 4").by_sample(np.ones((4, 4, 4)), 3)

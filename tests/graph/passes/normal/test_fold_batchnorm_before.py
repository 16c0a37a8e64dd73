"""BatchNormalization goes into the layers that read it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.reference
import onnx_ir as ir
import pytest
from folding import BN, close, fold, norm, text
from one_pass import ops

from onnxplain.graph import facts
from onnxplain.graph.load import load
from onnxplain.graph.normalize import infer_shapes
from onnxplain.graph.passes.normal import FoldBatchNorm

# Before a layer that pads nothing.  Name: (node, shape of x, weight, shape of the bias, what remains)
READERS = {
    "conv": ("Conv(n, w, b)", (2, 3, 5, 5), (4, 3, 3, 3), (4,), ["Conv"]),
    "conv without bias": ("Conv(n, w)", (2, 3, 5, 5), (4, 3, 3, 3), None, ["Conv"]),
    "conv strides": (
        "Conv<strides = [2, 1], dilations = [1, 2], pads = [0, 0, 0, 0]>(n, w, b)",
        (2, 3, 7, 7), (4, 3, 3, 3), (4,), ["Conv"],
    ),
    "conv groups": ("Conv<group = 2>(n, w, b)", (2, 4, 5, 5), (6, 2, 3, 3), (6,), ["Conv"]),
    "conv depthwise": ("Conv<group = 4>(n, w)", (2, 4, 5, 5), (8, 1, 3, 3), None, ["Conv"]),
    "conv 1d": ("Conv(n, w, b)", (2, 3, 7), (4, 3, 3), (4,), ["Conv"]),
    "conv 3d": ("Conv(n, w)", (2, 3, 4, 4, 4), (4, 3, 2, 2, 2), None, ["Conv"]),
    "conv valid": ('Conv<auto_pad = "VALID">(n, w)', (2, 3, 5, 5), (4, 3, 3, 3), None, ["Conv"]),
    "conv of one place": (
        'Conv<auto_pad = "SAME_UPPER", strides = [2, 2]>(n, w)', (2, 3, 5, 5), (4, 3, 1, 1), None, ["Conv"],
    ),
    "gemm": ("Gemm(n, w, b)", (2, 3), (3, 5), (5,), ["Gemm"]),
    "gemm without bias": ("Gemm<beta = 3.0>(n, w)", (2, 3), (3, 5), None, ["Gemm"]),
    "gemm transB": ("Gemm<transB = 1>(n, w, b)", (2, 3), (5, 3), (5,), ["Gemm"]),
    "gemm alpha and beta": (
        "Gemm<alpha = 0.5, beta = 2.0, transB = 1>(n, w, b)", (2, 3), (5, 3), (5,), ["Gemm"],
    ),
    "gemm scalar bias": ("Gemm(n, w, b)", (2, 3), (3, 5), (), ["Gemm"]),
    "gemm bias of two rows": ("Gemm<beta = 2.0>(n, w, b)", (2, 3), (3, 5), (2, 5), ["Gemm"]),
    "matmul": ("MatMul(n, w)", (2, 3), (3, 5), None, ["Gemm"]),
    "matmul add": ("MatMul(n, w) y = Add(c, b)", (2, 3), (3, 5), (5,), ["Gemm"]),
    "matmul add in front": ("MatMul(n, w) y = Add(b, c)", (2, 3), (3, 5), (1, 5), ["Gemm"]),
    "matmul add wider": ("MatMul(n, w) y = Add(c, b)", (2, 3), (3, 1), (5,), ["Gemm", "Add"]),
}  # fmt: skip
# Before a layer whose sums are shorter at the border.
PADDED = {
    "pads": ("Conv<pads = [1, 1, 1, 1]>(n, w, b)", (2, 3, 5, 5), (4, 3, 3, 3), (4,), ["Add", "Conv"]),
    "pads on one side": (
        "Conv<pads = [0, 2, 0, 0], strides = [2, 2]>(n, w)", (2, 3, 5, 5), (4, 3, 3, 3), None,
        ["Add", "Conv"],
    ),
    "pads and groups": (
        "Conv<pads = [1, 1], group = 2>(n, w, b)", (2, 4, 5), (6, 2, 3), (6,), ["Add", "Conv"],
    ),
    "same": ('Conv<auto_pad = "SAME_LOWER">(n, w)', (2, 3, 5, 5), (4, 3, 3, 3), None, ["Add", "Conv"]),
    "convtranspose": (
        "ConvTranspose<strides = [2, 2]>(n, w, b)", (2, 3, 4, 4), (3, 5, 3, 3), (5,),
        ["Add", "ConvTranspose"],
    ),
    "convtranspose groups": (
        "ConvTranspose<group = 2>(n, w)", (2, 4, 4, 4), (4, 3, 3, 3), None, ["Add", "ConvTranspose"],
    ),
}  # fmt: skip
BEFORE = {**READERS, **PADDED}


def before(models, layer: str, batch: int | str = 2, **params: Any) -> tuple[onnx.ModelProto, np.ndarray]:
    """A normalisation (its output is n) and a layer that reads it."""
    node, x, w, b, _ = BEFORE[layer]
    node = f"c = {node}" if "Add" in node else f"y = {node}"
    bias = {} if b is None else {"b": models.random(*b, seed=2)}
    made = models.make(
        text(f"n = {BN}(x, s, o, m, v) {node}", x, batch),
        w=models.random(*w, seed=1), **bias, **{**norm(x[1]), **params},
    )  # fmt: skip
    return made, models.random(*x)


@pytest.mark.parametrize("batch", [2, "N"])
@pytest.mark.parametrize("layer", BEFORE)
def test_before_a_layer(layer, batch, models) -> None:
    batch = 2 if layer == "gemm bias of two rows" else batch
    model, x = before(models, layer, batch)
    assert ops(fold(model, x=x)) == BEFORE[layer][-1]


@pytest.mark.parametrize(
    "layer", [n for n in BEFORE if n != "convtranspose groups"]
)  # the reference lacks it
def test_in_double_precision(layer, models) -> None:
    """New weights are computed in float64: they agree to float64 rounding with the definition."""
    model, x = before(models, layer)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(onnx.numpy_helper.from_array(
            onnx.numpy_helper.to_array(tensor).astype(np.float64), tensor.name
        ))  # fmt: skip
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    feeds = {"x": x.astype(np.float64)}
    wanted = onnx.reference.ReferenceEvaluator(model).run(None, feeds)
    made = load(model)
    infer_shapes(made)
    assert FoldBatchNorm()(made).modified
    assert "BatchNormalization" not in ops(made)
    assert all(v.dtype == ir.DataType.DOUBLE for node in made.graph for v in (*node.inputs, *node.outputs))
    close(onnx.reference.ReferenceEvaluator(ir.to_proto(made)).run(None, feeds), wanted, rtol=1e-12)


@pytest.mark.parametrize("layer", ["conv", "matmul add", "pads", "convtranspose"])
def test_a_normalisation_that_only_scales_leaves_biases_alone(layer, models) -> None:
    zero = np.zeros(3, np.float32)
    model, x = before(models, layer, o=zero, m=zero, s=np.array([1e-9, 0, 2], np.float32))
    kind = {"matmul add": ["MatMul", "Add"], "convtranspose": ["ConvTranspose"]}
    folded = fold(model, x=x)
    assert ops(folded) == kind.get(layer, ["Conv"])
    assert any(v.name == "b" for node in folded.graph for v in node.inputs)


@pytest.mark.parametrize("small", [0.0, 1e-8])
def test_a_channel_that_is_hardly_scaled(small, models) -> None:
    """Its shift does not fit into the layer's input; into a bias it does."""
    scale = np.array([1, small, -2], np.float32)
    model, x = before(models, "pads", s=scale)
    assert ops(fold(model, changed=False, x=x)) == ["BatchNormalization", "Conv"]
    model, x = before(models, "conv", s=scale)
    assert ops(fold(model, x=x)) == ["Conv"]


def test_a_channel_that_is_neither_scaled_nor_shifted(models) -> None:
    mask = np.array([1, 0, -2], np.float32)
    model, x = before(models, "pads", s=mask, o=mask)
    assert ops(fold(model, x=x)) == ["Add", "Conv"]


@pytest.mark.parametrize("scale", [1e-30, 1e-22])
def test_all_channels_are_hardly_scaled(scale, models) -> None:
    model, x = before(models, "pads", s=np.full(3, scale, np.float32))
    assert ops(fold(model, changed=False, x=x)) == ["BatchNormalization", "Conv"]


def test_a_shift_too_large_for_the_dtype(models) -> None:
    scale, shift = np.full(3, 1e-10, np.float32), np.full(3, 1e30, np.float32)
    model, x = before(models, "pads", s=scale, o=shift)
    fold(model, changed=False, x=x)


@pytest.mark.parametrize("layer", ["conv", "pads"])
def test_a_variance_that_is_negative(layer, models) -> None:
    proto, _ = before(models, layer, v=np.array([1, -1, 1], np.float32))
    model = load(proto)
    infer_shapes(model)
    assert not FoldBatchNorm()(model).modified


@pytest.mark.parametrize(
    ("body", "remain"),
    [
        ("a = Conv(n, w, b) c = Conv<strides = [1, 1]>(n, u) y = Add(a, c)", ["Conv", "Conv", "Add"]),
        ("a = Conv(n, w, b) c = Conv(n, w) y = Add(a, c)", ["Conv", "Conv", "Add"]),
        ("a = Conv(n, w, b) c = Conv(x, w) y = Add(a, c)", ["Conv", "Conv", "Add"]),
        (
            "a = Conv<pads = [1, 1, 1, 1]>(n, w, b) c = Conv<pads = [1, 1, 1, 1]>(n, u) y = Add(a, c)",
            ["Add", "Conv", "Conv", "Add"],
        ),
        (
            """a = Conv<pads = [1, 1, 1, 1]>(n, k) c = Conv<auto_pad = "VALID">(n, w, b) d = Relu(x)
            e = Conv<pads = [0, 0, 0, 0]>(a, w) y = Add(e, c)""",
            ["Add", "Conv", "Conv", "Relu", "Conv", "Add"],
        ),
        ("a = Conv(n, w, b) c = Conv(n, u) r = Relu(x) d = Conv(r, w) e = Add(a, c) y = Add(e, d)",
         ["Conv", "Conv", "Relu", "Conv", "Add", "Add"]),
    ],
    ids=["two layers", "one weight twice", "weight used without", "padded", "one padded", "more around"],
)  # fmt: skip
def test_shared_by_layers(body, remain, models) -> None:
    """Each layer gets a weight of its own; those that do not pad read no Add."""
    model = models.make(
        text(f"n = {BN}(x, s, o, m, v) {body}", (2, 3, 5, 5)),
        w=models.random(4, 3, 3, 3), u=models.random(4, 3, 3, 3, seed=1), k=models.random(3, 3, 3, 3, seed=3),
        b=models.random(4, seed=2), **norm(3),
    )  # fmt: skip
    folded = fold(model, x=models.random(2, 3, 5, 5, seed=4))
    assert ops(folded) == remain
    plain = [n for n in folded.graph if n.op_type == "Conv" and facts.attr(n, "auto_pad") == "VALID"]
    assert all(n.inputs[0] is folded.graph.inputs[0] for n in plain)


def test_shared_by_dense_layers(models) -> None:
    body = (
        f"n = {BN}(x, s, o, m, v) c = MatMul(n, w) a = Gemm<transB = 1>(n, u, b) d = Add(c, b) y = Mul(a, d)"
    )
    model = models.make(
        text(body, (2, 3)),
        w=models.random(3, 5), u=models.random(5, 3, seed=1), b=models.random(5, seed=2), **norm(3),
    )  # fmt: skip
    assert ops(fold(model, x=models.random(2, 3, seed=4))) == ["Gemm", "Gemm", "Mul"]


def test_a_product_that_others_read_before_its_bias(models) -> None:
    """The Add cannot take the bias, so the product does."""
    body = f"n = {BN}(x, s, o, m, v) c = MatMul(n, w) d = Add(c, b) y = Mul(c, d)"
    model = models.make(text(body, (2, 3)), w=models.random(3, 5), b=models.random(5, seed=2), **norm(3))
    assert ops(fold(model, x=models.random(2, 3, seed=4))) == ["Gemm", "Add", "Mul"]


def test_sums_are_computed_in_float64(models) -> None:
    """A float32 weight and bias are the float64 ones, rounded once."""
    params, w, b = norm(2000), models.random(2000, 4), models.random(4, seed=1)
    model = load(
        models.make(text(f"n = {BN}(x, s, o, m, v) y = Gemm(n, w, b)", (2, 2000)), w=w, b=b, **params)
    )
    infer_shapes(model)
    FoldBatchNorm()(model)
    s, o, m, v = (params[k].astype(np.float64) for k in "somv")
    scale = s / np.sqrt(v + np.float32(0.01))
    _, weight, bias = (facts.constant(value) for value in model.graph[0].inputs)
    np.testing.assert_array_equal(weight, (w * scale[:, None]).astype(np.float32))
    np.testing.assert_array_equal(bias, ((o - m * scale) @ w.astype(np.float64) + b).astype(np.float32))


@pytest.mark.parametrize("layer", ["Conv(n, w, c)", "Gemm<alpha = 2.0>(n, u, c)"])
def test_a_bias_that_is_computed_takes_nothing(layer, models) -> None:
    x = (2, 3, 5, 5) if "Conv" in layer else (2, 3)
    body = f"n = {BN}(x, s, o, m, v) c = Abs(b) y = {layer}"
    model = models.make(
        text(body, x),
        w=models.random(4, 3, 3, 3), u=models.random(3, 4, seed=1), b=models.random(4, seed=2), **norm(3),
    )  # fmt: skip
    assert ops(fold(model, x=models.random(*x, seed=4))) == ["Add", "Abs", layer.split("(")[0].split("<")[0]]


@pytest.mark.parametrize(
    "body",
    [
        "y = Relu(n)",
        "a = Conv(n, w) r = Relu(n) p = Conv(r, w) y = Add(a, p)",
        "r = Relu(n) y = Conv(r, w)",
        "u = Abs(w) y = Conv(n, u)",
        "a = Conv(n, w) z = Shape(n) d = Cast<to = 1>(z) e = ReduceSum(d) y = Add(a, e)",
        """z = ReduceMean<keepdims = 0>(x) t = Greater(z, zero) p = Conv(x, w)
        y = If(t) <then_branch = f () => (float[A, B, C, D] i) { i = Conv(n, w) },
        else_branch = g () => (float[A, B, C, D] j) { j = Identity(p) }>""",
    ],
    ids=["ReLU", "a layer and ReLU", "ReLU between", "a weight is computed", "its shape", "read in a branch"],
)
def test_before_a_layer_it_stays(body, models) -> None:
    graph = text(f"n = {BN}(x, s, o, m, v) {body}", (2, 3, 5, 5), 2)
    model = models.make(graph, w=models.random(4, 3, 3, 3), zero=0.0, **norm(3))
    assert "BatchNormalization" in ops(fold(model, changed=False, x=models.random(2, 3, 5, 5, seed=4)))


@pytest.mark.parametrize(
    "body",
    [
        "y = Gemm<transA = 1>(n, w)",
        "y = MatMul(w, n)",
        "y = MatMul(n, n)",
        "y = Gemm(w, n)",
        "y = Gemm(w, w, n)",
        "y = MatMul(n, row)",
        "y = MatMul(n, stack)",
    ],
)
def test_before_a_product_of_another_kind_it_stays(body, models) -> None:
    dims = {"y = MatMul(n, row)": "A", "y = MatMul(n, stack)": "A, B, C"}.get(body, "A, B")
    model = models.make(
        f"m (float[3, 3] x) => (float[{dims}] y) {{ n = {BN}(x, s, o, m, v) {body} }}",
        w=models.random(3, 3), row=models.random(3), stack=models.random(2, 3, 4), **norm(3),
    )  # fmt: skip
    fold(model, changed=False, x=models.random(3, 3, seed=4))


def test_before_a_product_over_another_axis_it_stays(models) -> None:
    body = f"n = {BN}(x, s, o, m, v) y = MatMul(n, w)"
    model = models.make(text(body, (2, 3, 3)), w=models.random(3, 5), **norm(3))
    fold(model, changed=False, x=models.random(2, 3, 3))


@pytest.mark.parametrize("shared", [False, True])
def test_before_a_layer_what_is_an_output_stays(shared, models) -> None:
    model = models.make(
        f"m (float[N, 3, 5, 5] x) => (float[A, B, C, D] y, float[N, 3, 5, 5] n)"
        f" {{ n = {BN}(x, s, o, m, v) y = Conv(n, w) }}",
        w=models.random(4, 3, 3, 3), **norm(3),
    )  # fmt: skip
    fold(model, changed=False, shared=shared, x=models.random(2, 3, 5, 5))

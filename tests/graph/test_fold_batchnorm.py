"""BatchNormalization goes into the layers around it where that is exact, and stays where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.reference
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnxplain.graph import facts, passes, stubs
from onnxplain.graph.load import load
from onnxplain.graph.normalize import infer_shapes, normalize


def run(model: onnx.ModelProto | ir.Model, **feeds: np.ndarray) -> list[np.ndarray]:
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"]).run(None, feeds)


def ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def close(found: list[np.ndarray], wanted: list[np.ndarray], rtol: float = 1e-5) -> None:
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())
        assert a.dtype == b.dtype


def fold(proto: onnx.ModelProto, *, changed: bool = True, shared: bool = False, **feeds: Any) -> ir.Model:
    """Run the pass; compare numbers, names, types and shapes with the model as it was."""
    model = load(proto)
    infer_shapes(model)
    before = run(model, **feeds)
    names = [v.name for v in model.graph.outputs]
    contents = {n: v.const_value.numpy().copy() for n, v in model.graph.initializers.items()}
    fold_batchnorm = passes.FoldBatchNorm(shared=shared)
    assert fold_batchnorm(model).modified is changed
    assert not fold_batchnorm(model).modified, "a second time there is nothing to do"
    for name, content in contents.items():
        np.testing.assert_array_equal(model.graph.initializers[name].const_value.numpy(), content)
    assert [v.name for v in model.graph.outputs] == names
    every = [v for node in model.graph for v in node.outputs if v.name]
    assert len({v.name for v in every}) == len(every)
    said = {v.name: (v.dtype, facts.dims(v)) for v in every}
    assert all(shape is not None for _, shape in said.values())
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    infer_shapes(model)
    assert {v.name: (v.dtype, facts.dims(v)) for v in every} == said
    close(run(model, **feeds), before)
    return model


def norm(n: int, letter: str = "") -> dict[str, Any]:
    """Parameters s, o, m, v of a normalisation (or such names with a letter in front)."""
    rng = np.random.default_rng(5 + len(letter))
    return {
        f"{letter}s": rng.uniform(0.3, 2, n).astype(np.float32) * rng.choice([-1, 1], n).astype(np.float32),
        f"{letter}o": rng.standard_normal(n).astype(np.float32),
        f"{letter}m": rng.standard_normal(n).astype(np.float32),
        f"{letter}v": rng.uniform(0.1, 2, n).astype(np.float32),
    }


BN = "BatchNormalization<epsilon = 0.01>"
TEXT = "m (float[{x}] x) => (float[{y}] y) {{ {body} }}"


def text(body: str, x: tuple[int, ...], batch: int | str = "N") -> str:
    dims = ", ".join(map(str, (batch, *x[1:])))
    return TEXT.format(x=dims, y=", ".join("ABCDE"[: len(x)]), body=body)


# After a layer.  Name: (node, shape of x, weight, channels, shape of the bias)
LAYERS = {
    "conv": ("Conv(x, w, b)", (2, 3, 5, 5), (4, 3, 3, 3), 4, (4,)),
    "conv without bias": ("Conv(x, w)", (2, 3, 5, 5), (4, 3, 3, 3), 4, None),
    "conv pads": ("Conv<pads = [1, 0, 1, 2]>(x, w)", (2, 3, 5, 5), (4, 3, 3, 3), 4, None),
    "conv groups": ("Conv<group = 2>(x, w, b)", (2, 4, 5, 5), (6, 2, 3, 3), 6, (6,)),
    "conv 1d": ("Conv<strides = [2]>(x, w, b)", (2, 3, 7), (4, 3, 3), 4, (4,)),
    "convtranspose": ("ConvTranspose<strides = [2, 2]>(x, w, b)", (2, 3, 4, 4), (3, 5, 3, 3), 5, (5,)),
    "convtranspose groups": ("ConvTranspose<group = 2>(x, w, b)", (2, 4, 4, 4), (4, 3, 3, 3), 6, (6,)),
    "convtranspose groups without bias": ("ConvTranspose<group = 3>(x, w)", (2, 6, 4), (6, 2, 3), 6, None),
    "gemm": ("Gemm(x, w, b)", (2, 3), (3, 5), 5, (5,)),
    "gemm without bias": ("Gemm(x, w)", (2, 3), (3, 5), 5, None),
    "gemm transB": ("Gemm<transB = 1>(x, w, b)", (2, 3), (5, 3), 5, (5,)),
    "gemm alpha": ("Gemm<transB = 1, alpha = 0.5>(x, w, b)", (2, 3), (5, 3), 5, (5,)),
    "gemm beta": ("Gemm<beta = 2.0>(x, w, b)", (2, 3), (3, 5), 5, (5,)),
    "gemm beta without bias": ("Gemm<beta = 2.0>(x, w)", (2, 3), (3, 5), 5, None),
    "gemm scalar bias": ("Gemm(x, w, b)", (2, 3), (3, 5), 5, ()),
    "gemm bias of one row": ("Gemm(x, w, b)", (2, 3), (3, 5), 5, (1, 5)),
    "gemm bias of a column": ("Gemm(x, w, b)", (2, 3), (3, 5), 5, (2, 1)),
    "gemm bias of two rows": ("Gemm(x, w, b)", (2, 3), (3, 5), 5, (2, 5)),
    "matmul": ("MatMul(x, w)", (2, 3), (3, 5), 5, None),
    "matmul add": ("MatMul(x, w) a = Add(c, b)", (2, 3), (3, 5), 5, (5,)),
    "matmul add in front": ("MatMul(x, w) a = Add(b, c)", (2, 3), (3, 5), 5, (1, 5)),
    "matmul add scalar": ("MatMul(x, w) a = Add(c, b)", (2, 3), (3, 5), 5, ()),
}


def after(models, layer: str, body: str, batch: int | str = 2) -> tuple[onnx.ModelProto, np.ndarray]:
    """A layer (its output is a) and what follows."""
    node, x, w, channels, b = LAYERS[layer]
    node = f"c = {node}" if "Add" in node else f"a = {node}"
    bias = {} if b is None else {"b": models.random(*b, seed=2)}
    made = models.make(
        text(f"{node} {body}", x, batch), w=models.random(*w, seed=1), **bias, **norm(channels)
    )
    return made, models.random(*x)


@pytest.mark.parametrize("batch", [2, "N"])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    "body", [f"y = {BN}(a, s, o, m, v)", f"n = {BN}(a, s, o, m, v) y = Relu(n)"], ids=["at the end", "inside"]
)
def test_after_a_layer(layer, body, batch, models) -> None:
    if batch == "N" and layer in ("gemm bias of a column", "gemm bias of two rows"):
        batch = 2  # such a bias says how many rows there are
    model, x = after(models, layer, body, batch)
    kind = "Gemm" if layer.startswith("matmul") else LAYERS[layer][0].split("<")[0].split("(")[0]
    folded = fold(model, x=x)
    assert ops(folded) == [kind, *["Relu"] * ("Relu" in body)]
    first = folded.graph[0]
    assert first.outputs[0].name == ("n" if "Relu" in body else "y"), "it is the normalisation's value"


@pytest.mark.parametrize(
    "body",
    [
        f"n = {BN}(a, s, o, m, v) y = Add(n, a)",
        f"r = Relu(a) y = {BN}(r, s, o, m, v)",
        f"t = Relu(s) y = {BN}(a, t, o, m, v)",
    ],
    ids=["the layer's output is used twice", "something stands between", "a parameter is computed"],
)
@pytest.mark.parametrize("layer", ["conv", "gemm", "matmul add"])
def test_after_a_layer_it_stays(layer, body, models) -> None:
    model, x = after(models, layer, body)
    assert "BatchNormalization" in ops(fold(model, changed=False, x=x))


@pytest.mark.parametrize(
    "body",
    [
        f"c = MatMul(x, w) y = {BN}(c, s, o, m, v)",
        f"c = MatMul(x, w) a = Add(c, b) y = {BN}(a, s, o, m, v)",
    ],
)
def test_after_a_matmul_it_stays_where_it_scales_another_axis(body, models) -> None:
    """Of three axes, the normalisation scales the middle one."""
    model = models.make(text(body, (2, 5, 3)), w=models.random(3, 5), b=models.random(5, seed=1), **norm(5))
    fold(model, changed=False, x=models.random(2, 5, 3, seed=2))


def test_after_a_product_that_others_read_before_its_bias(models) -> None:
    body = f"c = MatMul(x, w) a = Add(c, b) n = {BN}(a, s, o, m, v) y = Add(n, c)"
    model = models.make(text(body, (2, 3)), w=models.random(3, 5), b=models.random(5, seed=1), **norm(5))
    x = models.random(2, 3, seed=2)
    fold(model, changed=False, x=x)
    assert ops(fold(model, shared=True, x=x)) == ["MatMul", "Gemm", "Add"]


def test_after_a_product_with_more_than_a_row_added(models) -> None:
    graph = text(f"c = MatMul(x, w) a = Add(c, b) y = {BN}(a, s, o, m, v)", (2, 3), 2)
    for weight, bias in (((3, 5), (2, 5)), ((3, 1), (5,))):
        model = models.make(graph, w=models.random(*weight), b=models.random(*bias, seed=1), **norm(5))
        fold(model, changed=False, x=models.random(2, 3, seed=2))


def test_of_a_weight_that_another_layer_uses(models) -> None:
    body = f"a = MatMul(x, w) c = Gemm(x, w, b) n = {BN}(c, s, o, m, v) y = Add(a, n)"
    model = models.make(text(body, (2, 3)), w=models.random(3, 5), b=models.random(5, seed=1), **norm(5))
    assert ops(fold(model, x=models.random(2, 3))) == ["MatMul", "Gemm", "Add"]


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
    assert passes.FoldBatchNorm()(made).modified
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
    assert not passes.FoldBatchNorm()(model).modified


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


@pytest.mark.parametrize("shared", [False, True])
def test_after_a_layer_whose_bias_is_computed_it_stays(shared, models) -> None:
    body = f"c = Abs(b) a = Gemm(x, w, c) y = {BN}(a, s, o, m, v)"
    model = models.make(text(body, (2, 3)), w=models.random(3, 5), b=models.random(5, seed=1), **norm(5))
    fold(model, changed=False, shared=shared, x=models.random(2, 3))


@pytest.mark.parametrize("body", ["a = my.Gemm(x, w) y = {}(a, {})", "a = {}(x, {}) y = my.Gemm(a, w)"])
def test_next_to_an_operator_of_another_domain_it_stays(body, models) -> None:
    proto = models.make(
        text(body.format(BN, "s, o, m, v"), (2, 3)), domain="my", w=models.random(3, 3), **norm(3)
    )
    assert not passes.FoldBatchNorm(shared=True)(load(proto)).modified


def test_sums_are_computed_in_float64(models) -> None:
    """A float32 weight and bias are the float64 ones, rounded once."""
    params, w, b = norm(2000), models.random(2000, 4), models.random(4, seed=1)
    model = load(
        models.make(text(f"n = {BN}(x, s, o, m, v) y = Gemm(n, w, b)", (2, 2000)), w=w, b=b, **params)
    )
    infer_shapes(model)
    passes.FoldBatchNorm()(model)
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


@pytest.mark.parametrize("body", ["n = {} y = Conv(n, w)", "a = Conv(x, w) n = {} y = Relu(n)"])
@pytest.mark.parametrize("shared", [False, True])
def test_what_is_computed_in_training_or_given_by_the_user_stays(body, shared, models) -> None:
    source, channels = ("a", 4) if "a =" in body else ("x", 3)
    graph = "m (float[N, 3, 5, 5] x{}) => (float[A, B, C, D] y) {{ {} }}"
    weight = models.random(4, 3, 3, 3)
    x = models.random(2, 3, 5, 5, seed=4)
    for name in "somv":
        params = norm(channels)
        given = {name: params.pop(name)}
        node = f"BatchNormalization({source}, s, o, m, v)"
        inputs = f", float[{channels}] {name}"
        model = models.make(graph.format(inputs, body.format(node)), w=weight, **params)
        assert "BatchNormalization" in ops(fold(model, changed=False, shared=shared, x=x, **given))
    node = f"BatchNormalization<training_mode = 1>({source}, s, o, m, v)"
    training = models.make(graph.format("", body.format(node)), w=weight, **norm(channels))
    model = load(training)
    infer_shapes(model)
    assert not passes.FoldBatchNorm(shared=shared)(model).modified


@pytest.mark.parametrize("shared", [False, True])
def test_before_a_layer_what_is_an_output_stays(shared, models) -> None:
    model = models.make(
        f"m (float[N, 3, 5, 5] x) => (float[A, B, C, D] y, float[N, 3, 5, 5] n)"
        f" {{ n = {BN}(x, s, o, m, v) y = Conv(n, w) }}",
        w=models.random(4, 3, 3, 3), **norm(3),
    )  # fmt: skip
    fold(model, changed=False, shared=shared, x=models.random(2, 3, 5, 5))


def test_several_in_a_row(models) -> None:
    """Each makes room for the next: into the layer after, into the layer before."""
    body = f"""k = {BN}(x, s, o, m, v) n = {BN}(k, s, o, m, v) a = Conv(n, w)
      d = {BN}(a, zs, zo, zm, zv) y = {BN}(d, zs, zo, zm, zv)"""
    model = models.make(text(body, (2, 3, 5, 5)), w=models.random(4, 3, 3, 3), **norm(3), **norm(4, "z"))
    assert ops(fold(model, x=models.random(2, 3, 5, 5))) == ["Conv"]


def test_between_two_layers_the_first_takes_it(models) -> None:
    body = f"a = Conv(x, w) n = {BN}(a, s, o, m, v) y = Conv<pads = [1, 1, 1, 1]>(n, u)"
    model = models.make(
        text(body, (2, 3, 5, 5)), w=models.random(4, 3, 3, 3), u=models.random(2, 4, 3, 3, seed=1), **norm(4)
    )
    assert ops(fold(model, x=models.random(2, 3, 5, 5))) == ["Conv", "Conv"]


@pytest.mark.parametrize("layer", LAYERS)
def test_a_copy_of_a_layer_that_others_read(layer, models) -> None:
    model, x = after(models, layer, f"n = {BN}(a, s, o, m, v) r = Relu(n) y = Mul(r, a)")
    fold(model, changed=False, x=x)
    folded = fold(model, shared=True, x=x)
    kind = LAYERS[layer][0].split("<")[0].split("(")[0]
    first = ["MatMul", "Add"] if "Add" in LAYERS[layer][0] else [kind]
    assert ops(folded) == [*first, "Gemm" if kind == "MatMul" else kind, "Relu", "Mul"]
    names = [v.name for node in folded.graph for v in node.outputs]
    assert {"a", "n"} < set(names), "both values keep their names"


def test_a_copy_of_a_layer_whose_output_is_an_output(models) -> None:
    model = models.make(
        f"m (float[N, 3, 5, 5] x) => (float[A, B, C, D] a, float[A, B, C, D] y)"
        f" {{ a = Conv(x, w) y = {BN}(a, s, o, m, v) }}",
        w=models.random(4, 3, 3, 3), **norm(4),
    )  # fmt: skip
    x = models.random(2, 3, 5, 5)
    fold(model, changed=False, x=x)
    assert ops(fold(model, shared=True, x=x)) == ["Conv", "Conv"]


def test_two_normalisations_of_one_layer_need_one_copy(models) -> None:
    body = f"a = Conv(x, w) n = {BN}(a, s, o, m, v) k = {BN}(a, zs, zo, zm, zv) y = Mul(n, k)"
    model = models.make(text(body, (2, 3, 5, 5)), w=models.random(4, 3, 3, 3), **norm(4), **norm(4, "z"))
    assert ops(fold(model, shared=True, x=models.random(2, 3, 5, 5))) == ["Conv", "Conv", "Mul"]


def test_no_copy_where_the_layers_after_can_take_it(models) -> None:
    body = f"a = Conv(x, w) n = {BN}(a, s, o, m, v) c = Conv(n, u) r = ReduceMax(a) y = Add(c, r)"
    model = models.make(
        text(body, (2, 3, 7, 7)), w=models.random(4, 3, 3, 3), u=models.random(2, 4, 3, 3, seed=1), **norm(4)
    )
    assert ops(fold(model, shared=True, x=models.random(2, 3, 7, 7))) == ["Conv", "Conv", "ReduceMax", "Add"]


def test_the_copy_is_made_in_the_normal_form_too(models) -> None:
    model, x = after(models, "conv", f"n = {BN}(a, s, o, m, v) r = Relu(n) y = Mul(r, a)", "N")
    found = normalize(load(model)).model
    assert ops(found) == ["Conv", "BatchNormalization", "Relu", "Mul"], "it costs a convolution"
    made = found.clone()
    assert passes.FoldBatchNorm(shared=True)(made).modified
    assert ops(made) == ["Conv", "Conv", "Relu", "Mul"]
    assert len({node.name for node in made.graph}) == 4
    close(run(made, x=x), run(model, x=x))
    assert ops(found) == ["Conv", "BatchNormalization", "Relu", "Mul"], "the source is whole"


def test_normal_form(models) -> None:
    """Two blocks, normalised before: what can be folded is, old weights are gone, shapes are known."""
    body = f"""n = {BN}(x, s, o, m, v) a = Conv<pads = [1, 1, 1, 1]>(n, w, b) r = Relu(a)
      k = {BN}(r, zs, zo, zm, zv) c = Conv(k, u) f = Flatten(c) p = Identity(f)
      j = {BN}(p, js, jo, jm, jv) d = MatMul(j, q) e = Add(d, b) y = Softmax(e)"""
    model = models.make(
        f"m (float[N, 3, 5, 5] x) => (float[N, 4] y) {{ {body} }}",
        w=models.random(4, 3, 3, 3), b=models.random(4, seed=1),
        u=models.random(2, 4, 3, 3, seed=2, scale=0.3),
        q=models.random(18, 4, seed=3, scale=0.2), **norm(3), **norm(4, "z"), **norm(18, "j"),
    )  # fmt: skip
    found = normalize(load(model)).model
    assert ops(found) == ["Add", "Conv", "Relu", "Conv", "Flatten", "Gemm", "Softmax"]
    used = {v.name for node in found.graph for v in node.inputs}
    assert set(found.graph.initializers) <= used
    assert all(facts.dims(v)[0] == "N" for node in found.graph for v in node.outputs)
    x = models.random(2, 3, 5, 5, seed=4)
    close(run(found, x=x), run(model, x=x))


def test_weights_of_every_size(models) -> None:
    """Large weights travel past ONNX's C++ tools as stubs, and must be constants again afterwards."""
    weight = models.random(32, 16, 3, 3)
    assert weight.nbytes > 4 * stubs.SMALL_BYTES
    ones = np.ones(32, np.float32)
    model = models.make(
        "m (float[N, 16, 8, 8] x) => (float[N, 32, 6, 6] y) "
        "{ a = Conv(x, w) y = BatchNormalization(a, s, b, mean, var) }",
        w=weight, s=2 * ones, b=ones, mean=ones, var=3 * ones,
    )  # fmt: skip
    found = normalize(load(model)).model
    assert [n.op_type for n in found.graph] == ["Conv"]
    assert [v.name for v in found.graph.inputs] == ["x"]
    assert not any(v.is_graph_input() for v in found.graph.initializers.values())

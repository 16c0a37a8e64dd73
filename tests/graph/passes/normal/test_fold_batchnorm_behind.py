"""BatchNormalization goes into the layer that it stands behind, or into a copy of it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from folding import BN, close, fold, norm, text
from one_pass import ops, run

from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.passes.normal import FoldBatchNorm

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


@pytest.mark.parametrize("shared", [False, True])
def test_after_a_layer_whose_bias_is_computed_it_stays(shared, models) -> None:
    body = f"c = Abs(b) a = Gemm(x, w, c) y = {BN}(a, s, o, m, v)"
    model = models.make(text(body, (2, 3)), w=models.random(3, 5), b=models.random(5, seed=1), **norm(5))
    fold(model, changed=False, shared=shared, x=models.random(2, 3))


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
    assert FoldBatchNorm(shared=True)(made).modified
    assert ops(made) == ["Conv", "Conv", "Relu", "Mul"]
    assert len({node.name for node in made.graph}) == 4
    close(run(made, x=x), run(model, x=x))
    assert ops(found) == ["Conv", "BatchNormalization", "Relu", "Mul"], "the source is whole"

"""A constant beside a layer becomes its bias, and the model computes the same."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.graph.load import load
from onnxplain.graph.normalize import normalize
from onnxplain.graph.passes.prepare import FoldAffine, SplitBias
from onnxplain.testing.reference import Evaluator

RNG = np.random.default_rng(0)


def w(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


# name: (graph from x to y, shape of x, weights, operators afterwards)
FUSED = {
    "rows": ("m = MatMul(x, w) y = Add(m, b)", (2, 3), {"w": w(3, 4), "b": w(4)}, ["Gemm"]),
    "on the left": ("m = MatMul(x, w) y = Add(b, m)", (2, 3), {"w": w(3, 4), "b": w(1, 4)}, ["Gemm"]),
    "one number": ("m = MatMul(x, w) y = Add(m, b)", (2, 3), {"w": w(3, 4), "b": w(1)}, ["Gemm"]),
    "sequences": ("m = MatMul(x, w) y = Add(m, b)", (2, 5, 3), {"w": w(3, 4), "b": w(4)}, ["Reshape", "Gemm",
                  "Shape", "Concat", "Reshape"]),
    "conv": ("m = Conv(x, w) y = Add(m, b)", (2, 3, 5), {"w": w(4, 3, 2), "b": w(4, 1)}, ["Conv"]),
    "conv, whole shape": ("m = Conv<group = 3>(x, w) y = Add(m, b)", (2, 3, 5),
                          {"w": w(6, 1, 2), "b": w(1, 6, 1)}, ["Conv"]),
    "convtranspose": ("m = ConvTranspose<group = 3>(x, w) y = Add(m, b)", (2, 3, 5),
                      {"w": w(3, 2, 2), "b": w(6, 1)}, ["ConvTranspose"]),
    "a bias is there": ("m = Conv(x, w, c) y = Add(m, b)", (2, 3, 5),
                        {"w": w(4, 3, 2), "c": w(4), "b": w(4, 1)}, ["Conv"]),
    "twice": ("m = MatMul(x, w) a = Add(m, b) n = MatMul(a, v) y = Add(n, b)", (2, 3),
              {"w": w(3, 4), "b": w(4), "v": w(4, 4)}, ["Gemm", "Gemm"]),
}  # fmt: skip

LEFT = {
    "another reader": ("m = MatMul(x, w) a = Add(m, b) y = Mul(a, m)", (2, 3), {"w": w(3, 4), "b": w(4)}),
    "a column": ("m = MatMul(x, w) y = Add(m, b)", (2, 3), {"w": w(3, 4), "b": w(2, 1)}),
    "more axes": ("m = MatMul(x, w) y = Add(m, b)", (2, 3), {"w": w(3, 4), "b": w(1, 1, 4)}),
    "along the image": ("m = Conv(x, w) y = Add(m, b)", (2, 3, 5), {"w": w(4, 3, 2), "b": w(4)}),
    "computed matrix": ("v = Relu(x) t = Transpose<perm = [1, 0]>(v) m = MatMul(x, t) y = Add(m, b)", (2, 3),
                        {"b": w(2)}),
    "stack of matrices": ("m = MatMul(x, w) y = Add(m, b)", (2, 2, 3), {"w": w(2, 3, 4), "b": w(4)}),
}  # fmt: skip


def run(models, body, shape, weights):
    dims = ", ".join(["N", *map(str, shape[1:])])
    made = ", ".join("ABCD"[: max(len(shape), *(a.ndim for k, a in weights.items() if k == "b"))])
    model = normalize(
        load(models.make(f"m (float[{dims}] x) => (float[{made}] y) {{ {body} }}", **weights))
    ).model
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    before = Evaluator(model)({"x": x})["y"]
    modified = FoldAffine()(model).modified
    after = Evaluator(model)({"x": x})
    np.testing.assert_allclose(after["y"], before, rtol=1e-5, atol=1e-5)
    return model, modified


@pytest.mark.parametrize("case", FUSED)
def test_the_constant_becomes_the_bias(case, models) -> None:
    body, shape, weights, operators = FUSED[case]
    model, modified = run(models, body, shape, weights)
    assert modified
    assert [n.op_type for n in model.graph] == operators
    assert model.graph.outputs[0].name == "y"


@pytest.mark.parametrize("case", LEFT)
def test_what_does_not_fit_is_left(case, models) -> None:
    model, modified = run(models, *LEFT[case])
    assert not modified
    assert "Add" in [n.op_type for n in model.graph]


def test_integers_stay(models) -> None:
    """onnxruntime multiplies matrices of integers, but not with a bias."""
    proto = models.make(
        "m (int64[2, 3] x) => (int64[2, 4] y) { m = MatMul(x, w) y = Add(m, b) }",
        w=np.ones((3, 4), np.int64), b=np.ones(4, np.int64),
    )  # fmt: skip
    assert not FoldAffine()(normalize(load(proto)).model).modified


def test_an_empty_axis_stays_empty(models) -> None:
    body = "m (float[N, T, 3] x) => (float[N, T, 4] y) { m = MatMul(x, w) y = Add(m, b) }"
    model = normalize(load(models.make(body, w=w(3, 4), b=w(4)))).model
    assert FoldAffine()(model).modified
    assert Evaluator(model)({"x": np.zeros((2, 0, 3), np.float32)})["y"].shape == (2, 0, 4)


COMPUTED = {
    "gemm": ("c = Relu(v) y = Gemm<alpha = 2.0, beta = -0.5, transB = 1>(x, w, c)", (2, 3), (4, 3), (2, 4)),
    "gemm, one row": ("c = Relu(v) y = Gemm(x, w, c)", (2, 3), (3, 4), (4,)),
    "conv": ("c = Relu(v) y = Conv<pads = [1, 1]>(x, w, c)", (2, 3, 5), (4, 3, 3), (4,)),
    "convtranspose": ("c = Relu(v) y = ConvTranspose(x, w, c)", (2, 3, 5), (3, 4, 2), (4,)),
}


@pytest.mark.parametrize("case", COMPUTED)
def test_a_computed_bias_becomes_a_sum(case, models) -> None:
    body, shape, weight, bias = COMPUTED[case]
    sizes = {k: ", ".join(map(str, s)) for k, s in {"x": shape, "v": bias}.items()}
    text = f"m (float[{sizes['x']}] x, float[{sizes['v']}] v) => (float[A{', B' * (len(shape) - 1)}] y) {{"
    model = normalize(load(models.make(f"{text} {body} }}", w=w(*weight)))).model
    feeds = {"x": w(*shape), "v": w(*bias)}
    before = Evaluator(model)(feeds)["y"]
    assert SplitBias()(model).modified
    assert not SplitBias()(model).modified
    assert model.graph[-1].op_type == "Add"
    assert model.graph.outputs[0].name == "y"
    np.testing.assert_allclose(Evaluator(model)(feeds)["y"], before, rtol=1e-5, atol=1e-5)


def test_a_bias_that_is_given_stays(models) -> None:
    body = "m (float[2, 3] x, float[4] v) => (float[2, 4] y) { y = Gemm(x, w, v) }"
    assert not SplitBias()(normalize(load(models.make(body, w=w(3, 4)))).model).modified

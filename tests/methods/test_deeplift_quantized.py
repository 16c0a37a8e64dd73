"""DeepLIFT of networks that onnxruntime's quantiser made, beside the networks that it made them from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import onnx
import pytest

import onnxplain as ox

quantization = pytest.importorskip("onnxruntime.quantization")

TRANSFORMER = """m (float[N, 4, 8] x) => (float[N, 3] y) {
  q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv) kt = Transpose<perm = [0, 2, 1]>(k)
  s = MatMul(q, kt) s2 = Mul(s, scale) p = Softmax(s2) o = MatMul(p, v) o2 = MatMul(o, wo) r = Add(x, o2)
  n = LayerNormalization(r, g, b) f1 = MatMul(n, w1) f2 = Gelu(f1) f3 = MatMul(f2, w2) r2 = Add(n, f3)
  n2 = LayerNormalization(r2, g, b) m = ReduceMean<keepdims = 0>(n2, one) y = MatMul(m, wy)
}"""
RECURRENT = """m (float[N, 6, 5] x) => (float[N, 3] y) {
  t = Transpose<perm = [1, 0, 2]>(x) all, last = LSTM<hidden_size = 8>(t, w, r, b)
  h = Transpose<perm = [1, 0, 2]>(last) f = Flatten(h) y = Gemm(f, v, c)
}"""
SHAPES = {"mlp": (4, 5), "conv": (4, 2, 8, 8), "lstm": (4, 6, 5), "transformer": (4, 4, 8)}


def network(models: Any, name: str) -> onnx.ModelProto:
    r = models.random
    if name == "lstm":
        return models.make(
            RECURRENT, w=r(1, 32, 5, seed=1, scale=0.5), r=r(1, 32, 8, seed=2, scale=0.5),
            b=r(1, 64, seed=3, scale=0.3), v=r(8, 3, seed=4), c=r(3, seed=5),
        )  # fmt: skip
    if name == "transformer":
        return models.make(
            TRANSFORMER, opset=20, wq=r(8, 8, seed=1), wk=r(8, 8, seed=2), wv=r(8, 8, seed=3),
            wo=r(8, 8, seed=4, scale=0.5), w1=r(8, 16, seed=5, scale=0.5), w2=r(16, 8, seed=6, scale=0.5),
            wy=r(8, 3, seed=7), scale=0.35, g=np.ones(8, np.float32), b=r(8, seed=8, scale=0.1),
            one=np.array([1]),
        )  # fmt: skip
    found: onnx.ModelProto = getattr(models, name)()
    return found


class Samples(quantization.CalibrationDataReader):
    """A few samples to measure ranges on."""

    def __init__(self, models: Any, shape: tuple[int, ...]) -> None:
        self._left: Iterator[dict[str, np.ndarray]] = iter(
            [{"x": models.random(*shape, seed=k)} for k in range(5)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)


@pytest.fixture(scope="module")
def quantized(models: Any, tmp_path_factory: Any) -> Callable[[str, str], onnx.ModelProto]:
    """What makes a network's quantised form."""
    folder = tmp_path_factory.mktemp("quantized")
    logging.getLogger().setLevel(logging.ERROR)  # it recommends a pre-processing

    @cache
    def make(name: str, form: str) -> onnx.ModelProto:
        plain, made = folder / f"{name}.onnx", folder / f"{name}_{form}.onnx"
        onnx.save(network(models, name), plain)
        if form == "dynamic":
            quantization.quantize_dynamic(plain, made, per_channel=name == "conv")
        else:
            quantization.quantize_static(
                plain, made, Samples(models, SHAPES[name]), quant_format=quantization.QuantFormat[form],
                per_channel=name == "conv",
            )  # fmt: skip
        return onnx.load(made)

    return make


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.ravel(), b.ravel()
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


#: How much rounding may turn what Rescale finds; the step of a value that hardly differs is a steep quotient.
ALIKE = {"dynamic": 0.99, "QDQ": 0.8, "QOperator": 0.8}


FORMS = [
    ("mlp", "dynamic"), ("mlp", "QOperator"), ("conv", "dynamic"), ("conv", "QDQ"), ("lstm", "dynamic"),
    ("transformer", "dynamic"), ("transformer", "QDQ"),
]  # fmt: skip


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel"])
@pytest.mark.parametrize(("name", "form"), FORMS)
def test_sums_close_and_resemble_the_network_in_floats(name, form, rule, models, quantized) -> None:
    model = quantized(name, form)
    kinds = {n.op_type for n in model.graph.node}
    assert any("Quantize" in k or "QLinear" in k or "Integer" in k for k in kinds)
    x = models.random(*SHAPES[name], seed=9)[:1]  # a range is measured on the whole batch
    start = 0.2 * models.random(*SHAPES[name][1:], seed=11)
    explainer, method = ox.Explainer(model), ox.DeepLift(rule)
    found = explainer(x, target=1, method=method, baselines=start)
    assert found.relative_delta.max() < 1e-5
    here, there = (explainer.predict(v)["y"][0, 1] for v in (x, start[None]))
    np.testing.assert_allclose(found.reference, [here - there], rtol=1e-4, atol=1e-5)
    plain = ox.explain(network(models, name), x, 1, method=method, baselines=start)
    if rule == "rescale":
        assert cosine(found.values, plain.values) > ALIKE[form]


@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_a_baseline_of_zeros_has_a_range_of_its_own(name, models, quantized) -> None:
    """Its range is nothing, and its scale 1: neither is anything that the input did."""
    x = models.random(*SHAPES[name], seed=9)[:1]
    found, plain = (
        ox.explain(m, x, 1, method="deep_lift") for m in (quantized(name, "dynamic"), network(models, name))
    )
    assert found.relative_delta.max() < 1e-5
    assert cosine(found.values, plain.values) > 0.99


def test_a_range_that_is_used_otherwise_is_followed(models) -> None:
    """The scale as a number of its own: a part of the sum goes to the smallest and the largest value."""
    body = """q, s, z = DynamicQuantizeLinear(x) m = MatMulInteger(q, w, z) f = Cast<to = 1>(m) t = Mul(f, s)
      n = ReduceSum(t, axis) y = Add(n, s)"""
    w = np.random.default_rng(0).integers(-50, 50, (6, 3)).astype(np.int8)
    graph = f"m (float[1, 6] x) => (float[1, 1] y) {{ {body} }}"
    model = models.make(graph, w=w, axis=np.array([1]))
    x, start = models.random(1, 6), models.random(1, 6, seed=1)
    found = ox.explain(model, x, method="deep_lift", baselines=start)
    explainer = ox.Explainer(model)
    here, there = (float(explainer.predict(v)["y"][0, 0]) for v in (x, start))
    np.testing.assert_allclose(found.values.sum(), here - there, rtol=1e-4)


def test_an_exported_file_has_the_gradients_of_its_model(models, quantized, tmp_path) -> None:
    """The marks that DeepLIFT leaves on a model's nodes are nobody else's."""
    model = quantized("mlp", "dynamic")
    made = ox.export(model, tmp_path / "made.onnx", method="deep_lift")
    x = models.random(1, 5)
    plain = ox.explain(model, x, 1, method="saliency").values
    assert plain.any()
    again = ox.Explainer(str(made.path))(
        {"x": x, "target": np.array([1])}, target=1, method="saliency", wrt="x", output="y"
    )
    np.testing.assert_allclose(again.values, plain, rtol=1e-5, atol=1e-6)

"""8-bit weights stay 8-bit in the file, and give the same floats in every entry."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.exported_file import keep_integers

RNG = np.random.default_rng(0)
WHOLE = RNG.integers(-128, 128, (40, 30, 3)).astype(np.int8)


def floats(kind: str) -> np.ndarray:
    one, many = np.float32(0.0137), RNG.uniform(0.001, 0.1, (40, 1, 1)).astype(np.float32)
    whole = WHOLE.astype(np.float32)
    return {
        "one scale": whole * one,
        "scales": whole * many,
        "zero": (whole - np.float32(7)) * many,
        "moved": (whole * many).transpose(2, 0, 1),
        "flat": (whole * one)[None],
        "whole": whole,
    }[kind]


@pytest.mark.parametrize("kind", ["one scale", "scales", "zero", "moved", "flat", "whole"])
def test_integers_take_the_place_of_floats(kind, models) -> None:
    w = np.ascontiguousarray(floats(kind))
    model = models.make("m (float[1] x) => (float y) { y = Mul(x, w) }", w=w)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    made = ir.from_proto(model)
    assert keep_integers(made, [WHOLE, np.array(7, np.int8)]) == 3 * WHOLE.nbytes
    session = ort.InferenceSession(ir.to_proto(made).SerializeToString())
    np.testing.assert_array_equal(session.run(None, {"x": np.ones(1, np.float32)})[0], w)


@pytest.mark.parametrize("kind", ["noise", "one entry", "shuffled"])
def test_other_floats_stay(kind, models) -> None:
    w = floats("scales")
    if kind == "noise":
        w = models.random(40, 30, 3)
    elif kind == "one entry":
        w[3, 4, 1] = np.nextafter(w[3, 4, 1], np.float32(1))
    else:
        w = w[::-1].copy()
    made = ir.from_proto(models.make("m (float[1] x) => (float[a, b, c] y) { y = Mul(x, w) }", w=w))
    assert keep_integers(made, [WHOLE]) == 0
    assert list(made.graph.initializers) == ["w"]


@pytest.mark.parametrize("method", ["lrp", "saliency", "integrated_gradients"])
def test_files_of_quantised_models(method, models, tmp_path) -> None:
    scales = RNG.uniform(0.001, 0.01, 96).astype(np.float32)
    model = models.make(
        """m (float[N, 80] x) => (float[N, 4] y) {
          w = DequantizeLinear<axis = 1>(q, s) h = MatMul(x, w) r = Relu(h) y = MatMul(r, v)
        }""",
        q=RNG.integers(-127, 128, (80, 96)).astype(np.int8), s=scales, v=models.random(96, 4),
    )  # fmt: skip
    made = ox.export(model, tmp_path / "made.onnx", method=method)
    big = [t for t in onnx.load(made.path).graph.initializer if np.prod(t.dims) >= 80 * 96]
    held = {t.data_type for t in _tensors(onnx.load(made.path).graph) if np.prod(t.dims) >= 80 * 96}
    assert held == {onnx.TensorProto.INT8}, [t.name for t in big]
    x = models.random(3, 80)
    assert ox.verify(made.path, model, x)


def _tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    inner = [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
    return [*graph.initializer, *(t for g in inner for t in _tensors(g))]

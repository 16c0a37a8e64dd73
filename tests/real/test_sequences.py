"""Trained networks with LSTM, GRU, If, Loop, and a quantised one: predictions kept, gradients right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnxplain.backward.adjoint import SEED_PREFIX, add_adjoint, needs_body
from onnxplain.graph import facts
from onnxplain.graph.load import load
from onnxplain.graph.normalize import Normalized, normalize

if TYPE_CHECKING:
    from onnxplain._types import Array, Arrays

pytestmark = pytest.mark.models


def run(model: ir.Model, feeds: Arrays) -> list[Array]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    proto = ir.to_proto(model).SerializeToString()
    session = ort.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: feeds[i.name] for i in session.get_inputs()})


def original(path: Any, feeds: Arrays) -> Arrays:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def floats(values: Any) -> list[str]:
    return [str(v.name) for v in values if facts.is_float(v)]


def gradients(norm: Normalized, feeds: Arrays) -> tuple[Arrays, Arrays]:
    """Gradient of a random projection of the outputs, and the weights of that projection."""
    outputs, wrt = floats(norm.model.graph.outputs), floats(norm.model.graph.inputs)
    adjoint = add_adjoint(norm.model, outputs, wrt, opset=norm.opset)
    shapes = {k: np.shape(v) for k, v in zip(outputs, run(norm.model, feeds), strict=False)}
    rng = np.random.default_rng(0)
    weights = {k: rng.standard_normal(shapes[k]).astype(np.float32) for k in outputs}
    made = run(adjoint, feeds | {SEED_PREFIX + k: w for k, w in weights.items()})
    return dict(zip(wrt, made[len(outputs) :], strict=True)), weights


@pytest.mark.parametrize("name", ["chars2vec", "nsnet2_16k", "aecmos_16k", "plcmos"])
def test_directional_derivative(name: str, real_model: Any) -> None:
    case = real_model(name)
    norm = normalize(load(case.path), expand=needs_body)
    expected = original(case.path, case.feeds)
    for output, value in zip(norm.model.graph.outputs, run(norm.model, case.feeds), strict=True):
        np.testing.assert_allclose(value, expected[str(output.name)], rtol=1e-4, atol=1e-5)
    found, weights = gradients(norm, case.feeds)
    rng = np.random.default_rng(1)
    step = 1e-3
    direction = {
        k: rng.standard_normal(g.shape) * np.abs(case.feeds[k]).mean().clip(1e-3) for k, g in found.items()
    }

    def value_at(sign: float) -> float:
        moved = case.feeds | {
            k: (case.feeds[k] + sign * step * d).astype(np.float32) for k, d in direction.items()
        }
        made = run(norm.model, moved)
        return sum(float((w.astype(float) * v).sum()) for w, v in zip(weights.values(), made, strict=True))

    numeric = (value_at(1) - value_at(-1)) / (2 * step)
    terms = [found[k] * direction[k] for k in found]
    error = abs(sum(float(t.sum()) for t in terms) - numeric)
    assert error < 1e-3 * sum(float(np.abs(t).sum()) for t in terms)


def test_four_exports_of_one_network_have_one_gradient(real_model: Any) -> None:
    """With 25 nested Ifs, with a constant in their place, with the LSTM written out: all the same."""
    names = ["silero", "silero_op15", "silero_ifless", "silero_openvino"]
    found = []
    for name in names:
        case = real_model(name)
        norm = normalize(load(case.path), expand=needs_body)
        found.append(gradients(norm, case.feeds)[0])
    assert np.abs(found[0]["input"]).max() > 0
    for other in found[1:]:
        for key, value in found[0].items():
            np.testing.assert_allclose(other[key], value, rtol=1e-3, atol=1e-4 * np.abs(value).max())


def test_a_dynamically_quantised_transformer_predicts_the_same(real_model: Any, tmp_path: Any) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    case = real_model("minilm")
    path = tmp_path / "int8.onnx"
    int8 = quantization.QuantType.QInt8  # of 7 bits: products of 8 saturate where there is no VNNI
    quantization.quantize_dynamic(case.path, path, weight_type=int8, per_channel=True, reduce_range=True)
    norm = normalize(load(path), expand=needs_body)
    kinds = {n.op_type for n in norm.model.graph}
    assert not kinds & {"MatMulInteger", "DynamicQuantizeLinear", "DequantizeLinear"}
    expected = original(path, case.feeds)
    for output, value in zip(norm.model.graph.outputs, run(norm.model, case.feeds), strict=True):
        np.testing.assert_allclose(value, expected[str(output.name)], rtol=1e-4, atol=1e-4)

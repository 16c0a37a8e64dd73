"""LSTMs with weights of eight bits, over a kilobyte each, as onnxruntime's quantiser writes them."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnxruntime.quantization import QuantType, quantize_dynamic

import onnxplain as ox


@pytest.fixture(params=["forward", "bidirectional"])
def direction(request) -> str:
    return request.param


@pytest.fixture(params=[False, True], ids=["from zeros", "from a state"])
def started(request) -> bool:
    return request.param


@pytest.fixture(params=["N", "1"])
def model(request, direction, started, models, tmp_path) -> onnx.ModelProto:
    """(T, N, 16) to (N, 3): an LSTM of 32, its last state, a dense layer."""
    d, hidden = 1 + (direction == "bidirectional"), 32
    state = ", , h0, c0" if started else ""
    weights: dict[str, Any] = {
        "w": models.random(d, 4 * hidden, 16, scale=0.3),
        "r": models.random(d, 4 * hidden, hidden, seed=1, scale=0.3),
        "b": models.random(d, 8 * hidden, seed=2, scale=0.3),
        "v": models.random(hidden, 3, seed=3),
        "zero": np.array([0]),
    }
    if started:
        weights |= {name: models.random(d, 1, hidden, seed=4) for name in ("h0", "c0")}
    plain = models.make(
        f"""m (float[T, {1 if started else request.param}, 16] x) => (float[M, 3] y) {{
          o, last = LSTM<hidden_size = {hidden}, direction = "{direction}">(x, w, r, b{state})
          s = ReduceSum<keepdims = 0>(last, zero) y = MatMul(s, v)
        }}""",
        **weights,
    )
    onnx.save(plain, tmp_path / "plain.onnx")
    logging.disable(logging.WARNING)
    quantize_dynamic(
        tmp_path / "plain.onnx",
        tmp_path / "int8.onnx",
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["LSTM"],
        reduce_range=True,  # seven bits, whose products no processor saturates
    )
    logging.disable(logging.NOTSET)
    return onnx.load(tmp_path / "int8.onnx")


def test_it_runs_and_its_sums_close(model, models) -> None:
    assert next(n.op_type for n in model.graph.node) == "DynamicQuantizeLSTM"
    explainer, x = ox.Explainer(model), models.random(6, 1, 16)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(["y"], {"x": x})
    np.testing.assert_allclose(explainer.predict(x)["y"], expected, rtol=1e-3, atol=1e-3)
    for method in ("saliency", "lrp", "deep_lift", ox.IntegratedGradients(n_steps=20)):
        found = explainer(x, 1, method)
        assert found.values.shape == x.shape
        assert np.isfinite(found.values).all()
        assert found.values.any()
        if method == "deep_lift":
            np.testing.assert_allclose(found.delta, 0, atol=1e-3 * np.abs(expected).max())

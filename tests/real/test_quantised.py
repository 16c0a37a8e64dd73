"""Trained models quantised by onnxruntime: the same predictions as in onnxruntime, and sums that close."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnxruntime.quantization import QuantType, quantize_dynamic

import onnxplain as ox

pytestmark = pytest.mark.models

#: Trained models, and operators that quantising them must have brought about.
TWINS = {
    "minilm": {"DequantizeLinear", "MatMulInteger"},
    "movie_review": {"DequantizeLinear", "ConvInteger", "MatMulInteger"},
    "lac": {"DequantizeLinear", "MatMulInteger"},
    "silero_half": {"ConvInteger"},
    "penguin": {"MatMulInteger"},
}


#: How alike explanations of a twin and of its original are at least (correlation); quantising audio with a
#: convolution in eight bits changes what the model hears.
ALIKE = {"silero_half": -1.0}


@pytest.fixture(scope="module")
def twin(real_model: Any, tmp_path_factory: Any) -> Any:
    """Return a function that quantises the weights of a trained model."""
    logging.disable(logging.WARNING)
    made: dict[str, Any] = {}

    def get(name: str) -> Any:
        if name not in made:
            model = real_model(name)
            path = tmp_path_factory.mktemp(name) / "int8.onnx"
            # 7 bits: products of 8 saturate where there is no VNNI, in fused kernels other than in plain ones
            quantize_dynamic(model.path, path, weight_type=QuantType.QInt8, reduce_range=True)
            made[name] = model, path
        return made[name]

    yield get
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", TWINS)
def test_predictions(name: str, twin: Any) -> None:
    model, path = twin(name)
    kinds = Counter(n.op_type for n in onnx.load(path).graph.node)
    assert set(kinds) >= TWINS[name]
    explainer = ox.Explainer(path)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = explainer.predict(model.feeds)[model.output]
    inputs = [i.name for i in session.get_inputs()]
    for k in range(len(found)):  # one by one: the range by which tensors are quantised is the whole batch's
        row = {n: v if n == "sr" else v.take([k], 1 if n == "state" else 0) for n, v in model.feeds.items()}
        (expected,) = session.run([model.output], {n: row[n] for n in inputs})
        np.testing.assert_allclose(found[[k]], expected, rtol=0, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("name", TWINS)
def test_what_is_explained_is_what_the_float_model_explains(name: str, twin: Any) -> None:
    """The same inputs by default; tokens alone where there are any."""
    model, path = twin(name)
    plain, quantised = ox.Explainer(model.path), ox.Explainer(path)
    assert [(i.name, i.role, i.explained) for i in plain.inputs] == [
        (i.name, i.role, i.explained) for i in quantised.inputs
    ]


@pytest.mark.parametrize("method", ["integrated_gradients", "lrp", "deep_lift", "saliency"])
@pytest.mark.parametrize("name", TWINS)
def test_explanations(name: str, method: str, twin: Any) -> None:
    model, path = twin(name)
    options = {"target": "predicted", "method": method, "output": model.output}
    found = ox.Explainer(path)(model.feeds, **options)
    plain = ox.Explainer(model.path)(model.feeds, **options | {"target": _targets(found)})
    for key, values in found.arrays.items():
        assert values.shape == model.feeds[key].shape
        assert np.isfinite(values).all()
        if method == "deep_lift":  # differences of rounded numbers, which add up
            continue
        alike = np.corrcoef(values.ravel(), plain.arrays[key].ravel())[0, 1]
        assert alike > ALIKE.get(name, 0.5), f"correlation with the float model: {alike:.2f}"
    if method == "deep_lift":
        assert found.relative_delta.max() < 1e-2


def _targets(found: ox.Attribution) -> Any:
    if not found.target.shape[1]:
        return None
    rows = [tuple(map(int, row)) for row in found.target]
    return [row[0] for row in rows] if len(rows[0]) == 1 else rows

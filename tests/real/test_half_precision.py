"""Trained networks in half precision: files take and give float16, and explain as the Explainer does."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from half_models import half

import onnxplain as ox

pytestmark = pytest.mark.models

#: Methods, how many products are in float16, and how far their values may be from the Explainer's.
METHODS = {
    "saliency": (ox.Saliency(), 53, 3e-3),
    "input_x_gradient": (ox.InputXGradient(), 53, 3e-3),
    "integrated_gradients": (ox.IntegratedGradients(n_steps=3), 53, 3e-3),
    "lrp": (ox.LRP(), 0, 3e-5),  # the Explainer sums relevance in double precision
}


@pytest.fixture(scope="module")
def mobilenet(real_model, tmp_path_factory):
    real = real_model("mobilenetv2")
    path = tmp_path_factory.mktemp("half") / "half.onnx"
    model = onnx.load(real.path)
    held = {t.name for t in model.graph.initializer}
    inputs = [v for v in model.graph.input if v.name not in held]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    onnx.save(half(model), path)
    return path, {k: v.astype(np.float16) for k, v in real.feeds.items()}


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("name", METHODS)
def test_mobilenet(name, precision, mobilenet, tmp_path) -> None:
    path, feeds = mobilenet
    method, products, away = METHODS[name]
    made = ox.export(path, tmp_path / "made.onnx", method=method, precision=precision)
    assert made.float16_products == (products if precision == "float16" else 0)
    graph = onnx.load(made.path).graph
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
    assert graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
    found = ox.verify(made.path, path, feeds, tolerance=1e-5 if products and precision == "float32" else away)
    assert found, found.differences
    if precision == "float16" and products:
        assert max(d.relative for d in found.differences if d.against == "explainer") > 1e-5

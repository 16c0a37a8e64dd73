"""Exported files run in OpenVINO, and say there what they say in onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
from exported_digits import CASES, close, feeds, same, write
from runtimes import run_in_openvino

import onnxplain as ox

pytest.importorskip("openvino", reason="OpenVINO is not installed (pip install openvino)")


@pytest.mark.parametrize("name", CASES)
def test_the_digits_explain_themselves(name, tmp_path) -> None:
    path = write(CASES[name], tmp_path)
    for given in (feeds(2), feeds(1, turn=1)):
        same(CASES[name], given, run_in_openvino(path, given))


LAYERS = {
    "conv": ("Conv<pads = [1, 1, 1, 1]>(x, w)", (16, 16, 3, 3)),
    "conv_stride": ("Conv<strides = [2, 2]>(x, w)", (16, 16, 2, 2)),
    "conv_point": ("Conv(x, w)", (16, 16, 1, 1)),
    "conv_group": ("Conv<group = 2>(x, w)", (16, 8, 3, 3)),
    "conv_depth": ("Conv<group = 16>(x, w)", (16, 1, 3, 3)),
    "transposed": ("ConvTranspose(x, w)", (16, 16, 3, 3)),
    "wider": ("Conv(x, w)", (24, 16, 3, 3)),
}


@pytest.mark.parametrize("method", ["saliency", "lrp", "deep_lift"])
@pytest.mark.parametrize("layer", LAYERS)
def test_layers_whose_walk_back_has_the_same_weights(layer, method, models, tmp_path) -> None:
    written, shape = LAYERS[layer]
    out = shape[0]
    model = models.make(
        f"""m (float[N, 16, 8, 8] x) => (float[N, 4] y) {{
          a = {written}
          b = Relu(a)
          p = GlobalAveragePool(b)
          f = Flatten(p)
          h = MatMul(f, u)
          r = Relu(h)
          y = MatMul(r, v)
        }}""",
        w=models.random(*shape, seed=1),
        u=models.random(out, out, seed=2),
        v=models.random(out, 4, seed=3),
    )
    x = models.random(2, 16, 8, 8)
    path = ox.export(model, tmp_path / "made.onnx", method=method).path
    found = run_in_openvino(path, {"x": x, "target": np.array([1, 3])})
    close(found["attribution/x"], ox.explain(model, x, [1, 3], method=method).values)

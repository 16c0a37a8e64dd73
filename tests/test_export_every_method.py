"""Every method: its file says what the explainer says, or it is refused with a reason."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
from every_method import REFUSED, few, given

import onnxplain as ox
from onnxplain.errors import OnnxplainError

#: Shown elsewhere, on models that have what it looks at.
ELSEWHERE = {"attention_rollout"}

FOUR = (np.arange(64).reshape(1, 8, 8) // 32 * 2 + np.arange(8) // 4).astype(np.int64)


@pytest.mark.parametrize("name", sorted(set(ox.METHODS) - ELSEWHERE))
def test_a_file_or_a_reason(name, models, tmp_path) -> None:
    model, x = models.conv(softmax=True), models.random(2, 2, 8, 8)
    relu = next(n.output[0] for n in model.graph.node if n.op_type == "Relu")
    method = few(name, **({"layer": relu} if name == "layer_activation" else {}))
    options = given(method, players=FOUR, rows=models.random(3, 2, 8, 8, seed=4))
    if name in REFUSED:
        with pytest.raises(OnnxplainError, match=REFUSED[name]):
            ox.export(model, tmp_path / "made.onnx", method=method, **options)
        assert not (tmp_path / "made.onnx").exists()
        return
    made = ox.export(model, tmp_path / "made.onnx", method=method, **options)
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    feeds = {k: v for k, v in {"x": x, "target": np.array([0, 2])}.items() if k in made.inputs}
    found = dict(zip(made.outputs, session.run(list(made.outputs), feeds), strict=True))
    expected = ox.explain(model, x, [0, 2], method=method, **options)
    for of, values in expected.arrays.items():
        scale = max(float(np.abs(values).max()), 1e-6)
        np.testing.assert_allclose(found[f"attribution/{of}"], values, rtol=0, atol=1e-5 * scale)

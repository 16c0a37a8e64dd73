"""Every method: its file says what the explainer says, or it is refused with a reason."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.errors import OnnxplainError

#: Why there is no file of a method; everything else must be written.
REFUSED = {
    "guided_ig": "looks at answers before it chooses its next points",
    "meaningful_perturbation": "looks at answers before it chooses its next points",
    "xrai": "cuts each image into regions of its own",
    "d_rise": "first looks for the detection that is explained",
    "tree_shap": "reads what single players contribute out of the model",
    "linear_shap": "reads what single players contribute out of the model",
}

#: Shown elsewhere, on models that have what it looks at.
ELSEWHERE = {"attention_rollout"}

SMALL = {"n_steps": 5, "n_masks": 20, "n_samples": 16, "n_repeats": 2}
AS_THEY_ARE = {"kernel_shap", "lime", "regression_adjusted_shapley", "partition_shap", "permutation_shapley"}
ROWS = {"feature_permutation", "deep_lift_shap", "expected_gradients", "gradient_shap"}
FOUR = (np.arange(64).reshape(1, 8, 8) // 32 * 2 + np.arange(8) // 4).astype(np.int64)


@pytest.mark.parametrize("name", sorted(set(ox.METHODS) - ELSEWHERE))
def test_a_file_or_a_reason(name, models, tmp_path) -> None:
    model, x = models.conv(softmax=True), models.random(2, 2, 8, 8)
    kind = ox.METHODS[name]
    fields = {f.name for f in dataclasses.fields(kind)}
    chosen = {} if name in AS_THEY_ARE else {k: v for k, v in SMALL.items() if k in fields}
    if name == "layer_activation":
        chosen["layer"] = next(n.output[0] for n in model.graph.node if n.op_type == "Relu")
    method = kind(**chosen)
    options = {"feature_mask": FOUR} if method.wants_players() else {}
    if name in ROWS:
        options["baselines"] = ox.Background(models.random(3, 2, 8, 8, seed=4))
    elif method.default_baseline() is not None:
        options["baselines"] = 0.0
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

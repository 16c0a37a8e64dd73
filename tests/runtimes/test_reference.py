"""Exported files in ONNX's own reference evaluator, which computes each operator by its definition in NumPy.

Three of its operators are taken from ``onnxplain.testing``: Loop, which joins scan outputs along an axis
that they have instead of stacking them (onnx 1.23; files with ``top_k`` have such), ConvTranspose, which
fails with groups, and MaxPool, whose indices are wrong where all strides are 1.  The rest is onnx's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from exported_digits import feeds
from onnx.reference import ReferenceEvaluator

import onnxplain as ox
from onnxplain.data import digits_model_path
from onnxplain.testing.reference import ConvTranspose, Loop, MaxPool

QUARTERS = np.arange(8)[:, None] // 4 * 2 + np.arange(8) // 4
#: What DeepLIFT and games compare with: no two places alike, as ties in MaxPool go by the last bit.
OTHER = np.random.default_rng(5).normal(0, 0.5, (2, 8, 8)).astype(np.float32)
PATH = ox.IntegratedGradients(n_steps=2)

#: On a small network of convolutions: what ``export`` is told.
SMALL: dict[str, dict[str, Any]] = {
    "lrp": {"method": "lrp"},
    "lrp, fast on the CPU": {"method": "lrp", "form": "cpu"},
    "deep_lift": {"method": "deep_lift", "baselines": OTHER},
    "guided_backprop": {"method": "guided_backprop"},
    "eigen_cam": {"method": "eigen_cam"},
    "score_cam": {"method": "score_cam"},
    "integrated_gradients": {"method": PATH, "steps_at_once": 2},
    "kernel_shap": {"method": ox.KernelShap(n_samples=8), "feature_mask": QUARTERS, "baselines": OTHER},
    "occlusion": {"method": ox.Occlusion(sliding_window_shapes=(2, 4, 4), strides=(2, 4, 4))},
    "nested": {"method": ox.SmoothGrad(PATH, n_samples=2)},
    "several": {"method": ["saliency", "layer_cam", PATH]},
    "top_k": {"method": "saliency", "top_k": 2},
    "predicted": {"method": PATH, "target": "predicted"},
    "opset 16": {"method": "saliency", "target_opset": 16},
    "opset 13": {"method": "layer_cam", "target_opset": 13},
    "opset 21": {"method": "lrp", "target_opset": 21},
}


def equal(path, given: dict[str, np.ndarray]) -> None:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    given = {i.name: given[i.name] for i in session.get_inputs()}
    names = [o.name for o in session.get_outputs()]
    expected = session.run(names, given)
    found = ReferenceEvaluator(str(path), new_ops=[ConvTranspose, Loop, MaxPool]).run(names, given)
    for name, a, b in zip(names, found, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), name
        scale = np.abs(b).max() if not name.startswith("delta/") else 1.0  # a rest of differences, near 0
        assert scale > 0
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * scale, err_msg=name)


@pytest.mark.parametrize("case", SMALL)
def test_files_of_a_small_network(case, models, tmp_path) -> None:
    path = ox.export(models.conv(), tmp_path / "made.onnx", **SMALL[case]).path
    equal(path, {"x": models.random(2, 2, 8, 8), "target": np.array([1, 3])})


@pytest.mark.parametrize("method", ["saliency", "grad_cam"])
def test_files_of_the_digits(method, tmp_path) -> None:
    equal(ox.export(digits_model_path(), tmp_path / "made.onnx", method=method).path, feeds(1))

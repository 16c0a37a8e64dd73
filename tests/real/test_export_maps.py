"""Files of a trained network that make activation maps: equal to the explainer, and as small as the model."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

import onnxplain as ox

pytestmark = pytest.mark.models

METHODS = [
    ox.Cam(), ox.GradCam(), ox.GradCamPlusPlus(), ox.HiResCam(), ox.LayerCam(), ox.XGradCam(), ox.EigenCam(),
    ox.ShapleyCam(), ox.GuidedGradCam(), ox.AblationCam(),
]  # fmt: skip


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_mobilenet(method, real_model, tmp_path) -> None:
    real = real_model("mobilenetv2")
    made = ox.export(real.path, tmp_path / "made.onnx", method=method)
    feeds = dict(real.feeds)
    if "target" in made.inputs:
        feeds["target"] = np.array([real.target[-1]])
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    (found,) = session.run(["attribution/data"], feeds)
    expected = ox.explain(real.path, real.feeds, real.target[-1], method=method).arrays["data"]
    assert np.abs(expected).max() > 0
    # Of 1280 channels each is worth little, so that what is left of two scores is float32's last digits.
    tolerance = 1e-4 if method.name == "ablation_cam" else 1e-5
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * float(np.abs(expected).max()))
    assert made.size < 1.02 * made.source_size


def test_rollout_of_a_text(real_model, tmp_path) -> None:
    real = real_model("minilm")
    made = ox.export(real.path, tmp_path / "made.onnx", method="attention_rollout")
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    places = [(0, 0), (0, 7), (0, 3)]
    (found,) = session.run(["attribution/input_ids"], {**real.feeds, "target": np.array(places)})
    expected = ox.explain(real.path, real.feeds, places, method="attention_rollout").values
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))

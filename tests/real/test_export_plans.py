"""Files of trained networks (images, text, recurrent, quantised): equal to the explainer, or refused."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError

pytestmark = pytest.mark.models

HALVES = np.arange(224)[:, None] // 112 * 2 + np.arange(224) // 112  # four quarters of an image
QUARTER = {"sliding_window_shapes": (3, 112, 112), "strides": (3, 112, 112)}
WALKS = {
    "input_x_gradient": (ox.InputXGradient(), {}),
    "lrp": (ox.LRP(), {}),
    "integrated_gradients": (ox.IntegratedGradients(n_steps=3), {}),
}
OF_IMAGES = {
    "smooth_grad": (ox.SmoothGrad(n_samples=2, stdevs=0.05), {}),
    "occlusion": (ox.Occlusion(**QUARTER), {}),
    "kernel_shap": (ox.KernelShap(n_samples=14), {"feature_mask": HALVES}),
}
CASES = [("mobilenetv2", name) for name in (*WALKS, *OF_IMAGES)]
CASES += [(model, name) for model in ("movie_review", "lac", "minilm_int8") for name in WALKS]


@pytest.mark.parametrize(("model", "name"), CASES)
def test_the_file_says_what_the_explainer_says(model, name, real_model, tmp_path) -> None:
    real = real_model(model)
    method, options = (WALKS | OF_IMAGES)[name]
    options = {**options, "output": real.output}
    made = ox.export(real.path, tmp_path / "made.onnx", method=method, **options)
    index = real.target[1:] if len(real.target) > 2 else real.target[-1]
    feeds, n = dict(real.feeds), len(next(iter(real.feeds.values())))
    if "target" in made.inputs:
        feeds["target"] = np.array([index] * n)
    session = ort.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    found = dict(zip(made.outputs, session.run(list(made.outputs), feeds), strict=True))
    explainer = ox.Explainer(real.path, accelerate=False)  # ours sum relevance in double precision
    expected = explainer(real.feeds, index, method, **options)
    np.testing.assert_allclose(found[real.output], expected.predictions, rtol=0, atol=1e-5)
    for of, values in expected.arrays.items():
        assert np.abs(values).max() > 0
        scale = float(np.abs(values).max())
        np.testing.assert_allclose(found[f"attribution/{of}"], values, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("model", ["movie_review", "lac", "minilm_int8"])
@pytest.mark.parametrize("method", [ox.FeatureAblation(), ox.KernelShap(), ox.SmoothGrad()], ids=str)
def test_texts_of_any_length_have_no_players_of_a_file(model, method, real_model, tmp_path) -> None:
    real = real_model(model)
    with pytest.raises(DataInputError, match="export a model whose input has fixed lengths"):
        ox.export(real.path, tmp_path / "made.onnx", method=method, output=real.output)

"""Exported files of methods inside others, along other paths, and of designs: equal to the explainer."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from names_twice import names_twice

import onnxplain as ox
from onnxplain.errors import MethodError

IDS = np.arange(64).reshape(1, 8, 8) // 4 % 16
WINDOW = {"sliding_window_shapes": (2, 4, 4), "strides": (2, 2, 2)}
IG = ox.IntegratedGradients(n_steps=3)

#: A method, and what else export and explainer are told; "rows" as baselines is a background.
CASES = {
    "smooth_ig": (ox.SmoothGrad(IG, n_samples=4), {}),
    "smooth_ig_rows": (ox.SmoothGrad(IG, n_samples=2), {"baselines": "rows"}),
    "smooth_occlusion": (ox.SmoothGrad(ox.Occlusion(**WINDOW), n_samples=3), {}),
    "smooth_kernel_shap": (ox.SmoothGrad(ox.KernelShap(n_samples=60), n_samples=2), {"feature_mask": IDS}),
    "smooth_deep_lift": (ox.SmoothGrad("deep_lift", n_samples=3), {"baselines": 0.1}),
    "twice": (ox.SmoothGrad(ox.SmoothGrad(IG, n_samples=2, seed=4), n_samples=2, nt_type="vargrad"), {}),
    "ig_rows": (IG, {"baselines": "rows"}),
    "rise_rows": (ox.RISE(n_masks=20), {"baselines": "rows"}),
    "deep_lift_rows": (ox.DeepLift(), {"baselines": "rows"}),
    "deep_lift_shap": (ox.DeepLiftShap(), {"baselines": "rows"}),
    "idgi": (ox.IDGI(n_steps=9), {"baselines": 0.2}),
    "blur_ig": (ox.BlurIG(n_steps=6, max_sigma=4.0), {}),
    "blur_ig_sqrt": (ox.BlurIG(n_steps=6, max_sigma=4.0, sqrt=True, axes=3), {}),
    "permutation": (ox.FeaturePermutation(n_repeats=3), {"baselines": "rows", "feature_mask": IDS}),
    "prediction_difference": (ox.PredictionDifference(n_samples=3), {"baselines": "rows"}),
    "sobol_indices": (ox.SobolIndices(n_samples=8, grid_size=2), {"baselines": 0.3}),
    "hsic_indices": (ox.HSICIndices(n_samples=32, grid_size=3), {}),
}


def stock(path, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    """Run a file in an onnxruntime that knows nothing of this package."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def close(a: np.ndarray, b: np.ndarray, rtol: float = 1e-5) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(float(np.abs(b).max()), 1e-6))


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("case", CASES)
def test_the_file_says_what_the_explainer_says(case, at_once, models, tmp_path, capfd) -> None:
    model = models.conv(softmax=True)
    method, options = CASES[case]
    if options.get("baselines") == "rows":
        options = {**options, "baselines": ox.Background(models.random(3, 2, 8, 8, seed=5))}
    made = ox.export(model, tmp_path / "made.onnx", method=method, steps_at_once=at_once, **options)
    onnx.checker.check_model(onnx.load(made.path), full_check=True)
    assert names_twice(made.path) == set()
    x, target = models.random(3, 2, 8, 8), np.arange(3) % 4
    found = stock(made.path, x=x, target=target)
    expected = ox.explain(model, x, target.tolist(), method=method, **options)
    close(found["y"], expected.predictions)
    close(found["attribution/x"], expected.values)
    if (errors := expected.extras.get("standard_error")) is not None:
        close(found["standard_error/x"], errors["x"], 1e-4)
    if expected.delta is not None and method.sums_to:
        scale = np.abs(expected.score).max()
        np.testing.assert_allclose(found["delta/y"], expected.delta, rtol=0, atol=1e-5 * scale)
    assert "not used" not in capfd.readouterr().err  # onnxruntime's warning of what nobody needs


def test_what_no_file_holds_is_refused(models, tmp_path) -> None:
    rows = ox.Background(models.random(3, 2, 8, 8))
    refused = {
        "cuts each image into regions": ("xrai", {}),
        "looks at answers": (ox.SmoothGrad("guided_ig"), {}),
        "the samples of a call": ("feature_permutation", {}),
        "given what lies around": (ox.PredictionDifference(sampler="conditional"), {"baselines": rows}),
        "odds": (ox.PredictionDifference(evidence="log_odds"), {}),
        "and not each": (ox.DeepLiftShap(per_reference=True), {"baselines": rows}),
        "at most 1,024": (ox.HSICIndices(n_samples=2048), {}),
    }
    for said, (method, options) in refused.items():
        with pytest.raises(MethodError, match=said):
            ox.export(models.conv(), tmp_path / "made.onnx", method=method, **options)
    assert not (tmp_path / "made.onnx").exists()


def test_a_nan_is_faded_as_the_explainer_does(models, tmp_path) -> None:
    x = models.random(2, 2, 8, 8)
    x[0, 0, 1, 1] = np.nan
    model = models.make(
        "m (float[N, 2, 8, 8] x) => (float[N, 1] y) "
        "{ n = IsNaN(x) z = Sub(x, x) c = Where(n, one, x) y0 = ReduceSum<keepdims = 0>(c, ax) "
        "y = Unsqueeze(y0, last) }",
        one=np.float32(3.0), ax=np.array([1, 2, 3]), last=np.array([1]),
    )  # fmt: skip
    method = ox.RISE(n_masks=20, grid_size=3)
    made = ox.export(model, tmp_path / "made.onnx", method=method)
    expected = ox.explain(model, x, method=method)
    close(stock(made.path, x=x)["attribution/x"], expected.values)

"""Exported files that hold a whole plan: a loop over points, equal to the explainer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError

IDS = np.arange(64).reshape(1, 8, 8) // 4 % 16

#: A method, and what else export and explainer are told.
CASES = {
    "integrated_gradients": (ox.IntegratedGradients(n_steps=9), {}),
    "ig_baseline": (ox.IntegratedGradients(n_steps=7, method="riemann_trapezoid"), {"baselines": 0.3}),
    "expected_gradients": (ox.ExpectedGradients(n_samples=9), {"baselines": "rows"}),
    "gradient_shap": (ox.GradientShap(n_samples=9, stdevs=0.1), {"baselines": "rows"}),
    "smooth_grad": (ox.SmoothGrad(n_samples=9), {}),
    "smooth_lrp": (ox.SmoothGrad(ox.LRP(), n_samples=5, stdevs=0.2), {}),
    "vargrad": (ox.SmoothGrad(n_samples=9, nt_type="vargrad"), {}),
    "smoothgrad_sq": (ox.SmoothGrad(n_samples=9, nt_type="smoothgrad_sq"), {}),
    "occlusion": (ox.Occlusion(sliding_window_shapes=(2, 3, 4), strides=(2, 2, 3)), {}),
    "feature_ablation": (ox.FeatureAblation(), {"feature_mask": IDS, "baselines": 0.2}),
    "rise": (ox.RISE(n_masks=30, grid_size=3), {}),
    "rise_paper": (ox.RISE(n_masks=30, grid_size=3, contrast=False), {"feature_mask": IDS}),
    "kernel_shap": (ox.KernelShap(n_samples=200), {"feature_mask": IDS, "baselines": -0.1}),
    "kernel_shap_rows": (ox.KernelShap(n_samples=60), {"feature_mask": IDS, "baselines": "rows"}),
    "shapley_value_sampling": (ox.ShapleyValueSampling(n_samples=4), {"feature_mask": IDS}),
    "permutation_shapley": (ox.PermutationShapley(npermutations=2), {"feature_mask": IDS}),
    "regression_adjusted_shapley": (ox.RegressionAdjustedShapley(n_samples=200), {"feature_mask": IDS}),
    "partition_shap": (ox.PartitionShap(n_samples=200), {"feature_mask": IDS}),
    "lime": (ox.Lime(n_samples=80), {"feature_mask": IDS}),
}


def stock(path, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    """Run a file in an onnxruntime that knows nothing of this package."""
    options = ort.SessionOptions()
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def close(a: np.ndarray, b: np.ndarray, rtol: float = 1e-5) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(float(np.abs(b).max()), 1e-6))


def told(case: str, models) -> tuple[ox.Method, dict]:
    method, options = CASES[case]
    if options.get("baselines") == "rows":
        options = {**options, "baselines": models.random(4, 2, 8, 8, seed=5)}
    return method, options


SIZES = [(case, 3, 7) for case in CASES]
SIZES += [(case, *size) for case in ("ig_baseline", "kernel_shap_rows", "rise") for size in [(1, 4), (3, 1)]]


@pytest.mark.parametrize(("case", "n", "at_once"), SIZES)
def test_the_file_says_what_the_explainer_says(case, n, at_once, models, tmp_path) -> None:
    model = models.conv(softmax=True)
    method, options = told(case, models)
    made = ox.export(model, tmp_path / "made.onnx", method=method, steps_at_once=at_once, **options)
    x, target = models.random(n, 2, 8, 8), np.arange(n) % 4
    found = stock(made.path, x=x, target=target)
    expected = ox.explain(model, x, target.tolist(), method=method, **options)
    np.testing.assert_array_equal(found["y"].argmax(1), expected.predictions.argmax(1))
    close(found["y"], expected.predictions)
    close(found["attribution/x"], expected.values)
    errors = expected.extras.get("standard_error")
    if "standard_error/x" in found:
        close(found["standard_error/x"], errors["x"], 1e-4)
    if "delta/y" in found:
        scale = np.abs(expected.score).max()
        np.testing.assert_allclose(found["delta/y"], expected.delta, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("case", ["gradient_shap", "occlusion", "rise", "kernel_shap", "vargrad"])
def test_the_file_is_standard(case, models, tmp_path) -> None:
    method, options = told(case, models)
    path = ox.export(models.conv(), tmp_path / "made.onnx", method=method, **options).path
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {n.domain for n in model.graph.node} == {""}
    assert sum(node.op_type == "Loop" for node in model.graph.node) == 1


@pytest.mark.parametrize("case", ["integrated_gradients", "rise", "kernel_shap"])
@pytest.mark.parametrize("at_once", [1, 5])
def test_the_file_finds_the_predicted_class_itself(case, at_once, models, tmp_path) -> None:
    model = models.conv(softmax=True)
    method, options = told(case, models)
    made = ox.export(
        model, tmp_path / "made.onnx", method=method, steps_at_once=at_once, target="predicted", **options
    )
    assert made.inputs == ("x",)
    x = models.random(5, 2, 8, 8)
    found = stock(made.path, x=x)
    expected = ox.explain(model, x, "predicted", method=method, **options)
    np.testing.assert_array_equal(found["target"], expected.target[:, 0])
    close(found["attribution/x"], expected.values)


def test_a_walk_finds_the_predicted_class_itself(models, tmp_path) -> None:
    model = models.conv(softmax=True)
    made = ox.export(model, tmp_path / "made.onnx", method="lrp", target="predicted")
    x = models.random(5, 2, 8, 8)
    found = stock(made.path, x=x)
    expected = ox.explain(model, x, "predicted", method="lrp")
    np.testing.assert_array_equal(found["target"], expected.target[:, 0])
    close(found["attribution/x"], expected.values)


@pytest.mark.parametrize("at_once", [1, 3])
def test_tokens_are_explained_at_their_embedding(at_once, models, tmp_path) -> None:
    model = models.tokens()
    ids, mask = np.array([[1, 2, 3, 4, 5], [3, 1, 4, 1, 5]]), np.array([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]])
    method = ox.IntegratedGradients(n_steps=9)
    made = ox.export(model, tmp_path / "made.onnx", method=method, steps_at_once=at_once)
    found = stock(made.path, ids=ids, mask=mask, target=np.array([1, 2]))
    expected = ox.explain(model, {"ids": ids, "mask": mask}, [1, 2], method=method)
    close(found["attribution/ids"], expected.values)


@pytest.mark.parametrize("method", [ox.IntegratedGradients(n_steps=6), ox.Occlusion((2,))], ids=repr)
@pytest.mark.parametrize("at_once", [1, 3])
def test_outputs_that_mix_samples_do_not_see_other_points(at_once, method, models, tmp_path) -> None:
    """A mean over the batch, samples flattened, their number: beside a score that mixes nothing."""
    model = models.make(
        """m (float[N, 4] x) => (float[N, 3] y, float[K] flat, float[3] most, float mean, int64[2] size) {
          f = Constant<value = int64[1] {-1}>()
          y = MatMul(x, w)
          flat = Reshape(y, f)
          first = Constant<value = int64[1] {0}>()
          most = ReduceMax<keepdims = 0>(y, first)
          mean = ReduceMean<keepdims = 0>(y)
          size = Shape(y)
        }""",
        w=models.random(4, 3),
    )
    x = models.random(2, 4, seed=1)
    made = ox.export(model, tmp_path / "made.onnx", method=method, steps_at_once=at_once)
    found = stock(made.path, x=x, target=np.array([1, 2]))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for name, values in zip(
        [o.name for o in session.get_outputs()], session.run(None, {"x": x}), strict=True
    ):
        assert found[name].shape == values.shape
        close(found[name], values)
    close(found["attribution/x"], ox.explain(model, x, [1, 2], method=method).values)


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("which", ["two_inputs", "batch_last", "maps", "single", "channels_last"])
def test_other_layouts(which, at_once, models, tmp_path) -> None:
    model = getattr(models, which)()
    explainer = ox.Explainer(model)
    n = 2
    inputs = {
        i.name: models.random(*(n if not isinstance(d, int) else d for d in i.shape), seed=k)
        for k, i in enumerate(explainer.inputs)
    }
    method = ox.IntegratedGradients(n_steps=6)
    made = ox.export(model, tmp_path / "made.onnx", method=method, steps_at_once=at_once)
    targets = {"single": None, "maps": (1, 0, 0)}
    target = targets.get(which, 1)
    feeds = dict(inputs)
    if "target" in made.inputs:
        feeds["target"] = np.array([target] * n)
    found = stock(made.path, **feeds)
    expected = explainer(inputs, target, method)
    for name, values in expected.arrays.items():
        close(found[f"attribution/{name}"], values)


@pytest.mark.parametrize(
    "method", [ox.IntegratedGradients(n_steps=4), ox.InternalInfluence(n_steps=4)], ids=str
)
@pytest.mark.parametrize("at_once", [1, 3])
def test_no_slope_at_the_baseline_itself(method, at_once, models, tmp_path) -> None:
    """Its score is asked for, and its slope, infinite, counts for nothing."""
    model = models.make("m (float[N, 4] x) => (float[N, 1] y) { r = Sqrt(x) y = MatMul(r, w) }",
                        w=models.random(4, 1))  # fmt: skip
    x = np.abs(models.random(2, 4)) + 0.5
    path = ox.export(model, tmp_path / "made.onnx", method=method, steps_at_once=at_once).path
    close(stock(path, x=x)["attribution/x"], ox.explain(model, x, method=method).values)


def test_standard_errors_of_a_value_inside_have_its_shape(models, tmp_path) -> None:
    model = models.conv()
    relu = next(n.output[0] for n in model.graph.node if n.op_type == "Relu")
    made = ox.export(model, tmp_path / "made.onnx", method=ox.SmoothGrad(n_samples=2), wrt=relu)
    ranks = {o.name: len(o.type.tensor_type.shape.dim) for o in onnx.load(made.path).graph.output}
    assert ranks[f"standard_error/{relu}"] == ranks[f"attribution/{relu}"] == 4


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("stdevs", [None, 0.3])
def test_noise_has_the_bits_of_the_explainer(stdevs, kind, models, tmp_path) -> None:
    """A point that is off by its last bit lies on another side of some kink."""
    model = models.make(
        f"m ({kind}[N, 5] x) => ({kind}[N, 1] y) {{ half = Constant<value = {kind}[1] {{0.5}}>() "
        "a = Mul(x, x) b = Mul(a, half) y = ReduceSum<keepdims = 1>(b, one) }",
        one=np.array([1]),
    )
    x = models.random(4, 5, seed=3).astype({"float": np.float32, "double": np.float64}[kind])
    method = ox.SmoothGrad(n_samples=1, stdevs=stdevs)  # its gradient is the point itself
    path = ox.export(model, tmp_path / "made.onnx", method=method).path
    found = stock(path, x=x)["attribution/x"]
    np.testing.assert_array_equal(found, ox.Explainer(model, accelerate=False)(x, 0, method).values)
    assert not np.array_equal(found, x)


@pytest.mark.parametrize("method", ["feature_ablation", "kernel_shap"])
def test_texts_have_no_baseline_in_a_file(method, tmp_path) -> None:
    path = Path(ox.__file__).parent / "data" / "diabetes.onnx"
    with pytest.raises(DataInputError, match="'sex' holds text"):
        ox.export(path, tmp_path / "made.onnx", method=method)
    wrt = ["age", "bmi"]
    assert ox.export(path, tmp_path / "made.onnx", method=method, wrt=wrt).path.is_file()


ONE_ROW = [case for case, (method, _) in CASES.items() if method.reads_rows() or method.wants_baselines()]


@pytest.mark.parametrize("way", ["row", "background"])
@pytest.mark.parametrize("case", ONE_ROW)
def test_a_background_of_one_row_is_a_baseline(case, way, models, tmp_path) -> None:
    method, options = CASES[case]
    model, x, row = models.conv(), models.random(2, 2, 8, 8), models.random(1, 2, 8, 8, seed=6)
    options = {**options, "baselines": ox.Background(row) if way == "background" else row}
    path = ox.export(model, tmp_path / "made.onnx", method=method, **options).path
    made = stock(path, x=x, target=np.array([1, 3]))["attribution/x"]
    expected = ox.Explainer(model)(x, [1, 3], method, **options).values
    without = ox.Explainer(model)(x, [1, 3], method, **{k: v for k, v in options.items() if k != "baselines"})
    close(made, expected)
    assert np.abs(expected - without.values).max() > 0.01 * np.abs(expected).max()  # it counts

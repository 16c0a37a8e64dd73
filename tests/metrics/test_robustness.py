"""Metrics that explain points near samples: by their formulas in plain loops, and where truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.backward.asks import Scores
from onnxplain.errors import DataInputError, MethodError, OptionError
from onnxplain.kernels import path_batches as kernels
from onnxplain.kernels.uniform import uniforms
from onnxplain.methods import Method
from onnxplain.metrics import (
    AvgSensitivity,
    Continuity,
    LocalLipschitzEstimate,
    MaxSensitivity,
    RelativeInputStability,
    RelativeOutputStability,
    RelativeRepresentationStability,
    metric,
    neighbours,
)
from onnxplain.runtime.plans.plan import Found

STREAM = 1 << 20
NOISY = (
    "max_sensitivity",
    "avg_sensitivity",
    "local_lipschitz_estimate",
    "relative_input_stability",
    "relative_output_stability",
    "relative_representation_stability",
)


@dataclass(frozen=True)
class Constant(Method):
    """Says the same of any input."""

    name: ClassVar[str] = "constant"

    def needs(self) -> Scores:
        return Scores()

    def attribute(self, problem: Any) -> Found:
        return Found({k: np.ones_like(v) for k, v in problem.features.items()})


@dataclass(frozen=True)
class Hashed(Constant):
    """Normal numbers that have nothing to do with one another, drawn from the bits of the input."""

    name: ClassVar[str] = "hashed"

    def attribute(self, problem: Any) -> Found:
        return Found({k: np.stack([self.drawn(row) for row in v]) for k, v in problem.features.items()})

    @staticmethod
    def drawn(row: np.ndarray) -> np.ndarray:
        seed = np.frombuffer(row.tobytes(), np.uint32)
        return np.random.default_rng(seed).standard_normal(row.shape).astype(row.dtype)


@pytest.fixture(scope="module")
def mlp(models) -> ox.Explainer:
    return ox.Explainer(models.mlp(softmax=True))


@pytest.fixture(scope="module")
def x(models) -> np.ndarray:
    return models.random(3, 5, seed=3)


def uniform(x: np.ndarray, k: int, low: float, high: float, seed: int = 0, feature: int = 0) -> np.ndarray:
    drawn = uniforms(seed, STREAM + feature, k, 1, x.size).reshape(x.shape)
    return (x + (low + (high - low) * drawn)).astype(np.float32)


def length(v: Any) -> float:
    return float(np.sqrt(sum(float(e) ** 2 for e in np.ravel(v))))


def quotients(a: Any, b: Any, eps: float = 1e-6) -> np.ndarray:
    a, b = np.ravel(a).astype(float), np.ravel(b).astype(float)
    return np.array([(p - q) / (p if p != 0 else eps) for p, q in zip(a, b, strict=True)])


def saliency(explainer: ox.Explainer, x: np.ndarray, target: int, method: Any = "input_x_gradient") -> Any:
    return explainer(x[None], target, method).values[0].astype(float)


def test_sensitivity_is_its_formula(mlp, x) -> None:
    targets, most, mean = [0, 2, 1], [], []
    for row, target in zip(x, targets, strict=True):
        here = saliency(mlp, row, target)
        there = [saliency(mlp, uniform(row, k, -0.4, 0.4, 5), target) for k in range(6)]
        changes = [length(here - a) / length(here) for a in there]
        most.append(max(changes))
        mean.append(sum(changes) / len(changes))
    found = MaxSensitivity(6, 0.4, 5)(mlp, x, targets, "input_x_gradient")
    np.testing.assert_allclose(found.values, most, rtol=1e-5)
    np.testing.assert_allclose(found.extras["changes"].max(1), most, rtol=1e-5)
    found = AvgSensitivity(6, 0.4, 5)(mlp, x, targets, "input_x_gradient")
    np.testing.assert_allclose(found.values, mean, rtol=1e-5)


@pytest.mark.parametrize("normalise", [True, False])
def test_lipschitz_is_its_formula(mlp, x, normalise) -> None:
    def shown(a: np.ndarray) -> np.ndarray:
        return a / max(abs(e) for e in a) if normalise else a

    expected = []
    for row in x:
        ratios = []
        for k in range(4):
            noise = kernels.noise(np.full((1, 5), 0.1), 0.3, 2, k, 1, substream=STREAM)[0]
            point = (row + noise).astype(np.float32)
            change = shown(saliency(mlp, row, 1)) - shown(saliency(mlp, point, 1))
            ratios.append(length(change) / length(point.astype(float) - row))
        expected.append(max(ratios))
    found = LocalLipschitzEstimate(4, 0.1, 0.3, 2, normalise=normalise)(mlp, x, 1, "input_x_gradient")
    np.testing.assert_allclose(found.values, expected, rtol=1e-5)


def inner(models, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hidden layer and logits of the multilayer perceptron, by hand."""
    w, v = models.random(5, 8, seed=1), models.random(8, 3, seed=2)
    b, c = models.random(8, seed=3), models.random(3, seed=4)
    hidden = np.maximum(row.astype(float) @ w + b, 0)
    return hidden, hidden @ v + c


@pytest.mark.parametrize("changed", ["keep", "leave_out", "nan"])
def test_relative_stability_is_its_formula(models, mlp, x, changed) -> None:
    expected: dict[str, list[float]] = {"input": [], "output": [], "representation": []}
    for row in x:
        here, (hidden, logits) = saliency(mlp, row, 1), inner(models, row)
        ratios: dict[str, list[float]] = {k: [] for k in expected}
        spoilt = False
        for k in range(8):
            point = uniform(row, k, -1.0, 1.5)
            hidden_there, logits_there = inner(models, point)
            other = np.argmax(logits) != np.argmax(logits_there)
            spoilt |= other
            if other and changed == "leave_out":
                continue
            of = length(quotients(here, saliency(mlp, point, 1)))
            ratios["input"].append(of / max(length(quotients(row, point)), 1e-6))
            ratios["output"].append(of / max(length(logits - logits_there), 1e-6))
            ratios["representation"].append(of / max(length(quotients(hidden, hidden_there)), 1e-6))
        for k, v in ratios.items():
            expected[k].append(np.nan if (spoilt and changed == "nan") or not v else max(v))
    for kind, key, more in (
        (RelativeInputStability, "input", {}),
        (RelativeOutputStability, "output", {}),
        (RelativeRepresentationStability, "representation", {}),
        (RelativeRepresentationStability, "representation", {"layer": "h"}),
    ):
        made = kind(8, -1.0, 1.5, when_prediction_changes=changed, **more)
        found = made(mlp, x, 1, "input_x_gradient")
        np.testing.assert_allclose(found.values, expected[key], rtol=2e-4)
        assert bool(found.notes) == (changed != "keep")


def test_values_inside_lie_in_a_row(models, mlp, x) -> None:
    found = RelativeRepresentationStability(3, layer=("h", "z", "h"), when_prediction_changes="keep")(
        mlp, x, 1, "input_x_gradient"
    )
    for row, value in zip(x, found.values, strict=True):
        ratios = []
        for k in range(3):
            point = uniform(row, k, 0.02, 0.2)
            both = quotients(np.concatenate(inner(models, row)), np.concatenate(inner(models, point)))
            ratios.append(length(quotients(saliency(mlp, row, 1), saliency(mlp, point, 1))) / length(both))
        np.testing.assert_allclose(value, max(ratios), rtol=2e-4)


def moved(image: np.ndarray, t: int, fill: float) -> np.ndarray:
    """An image (C, H, W) by t pixels to the right."""
    made = np.full_like(image, fill)
    width = image.shape[2]
    for column in range(width):
        if 0 <= column - t < width:
            made[:, :, column] = image[:, :, column - t]
    return made


@pytest.mark.parametrize(("steps", "places"), [(28, range(-7, 9)), (4, (-4, 0, 4, 8)), (1, (8,))])
def test_continuity_is_its_formula(models, steps, places) -> None:
    conv, images = ox.Explainer(models.conv()), models.random(2, 2, 8, 8, seed=4)
    expected, wide = [], []
    for image in images:
        ratios = []
        for t in places:
            point = moved(image, t, image.min())
            a, b = (np.abs(saliency(conv, of, 2)) for of in (image, point))
            if t:
                change = np.abs(a / a.max() - b / b.max()).sum()
                ratios.append(change / length(image.astype(float) - point))
        expected.append(max(ratios))
        point = moved(image, 8, 0.5)
        difference = np.abs(saliency(conv, image, 2) - saliency(conv, point, 2)).sum()
        wide.append(difference / length(image.astype(float) - point))
    found = Continuity(steps)(conv, images, 2, "input_x_gradient")
    np.testing.assert_allclose(found.values, expected, rtol=1e-4)
    assert found.extras["changes"].shape == (2, len(places))
    plain = Continuity(1, perturb_baseline=0.5, absolute=False, normalise=False)
    np.testing.assert_allclose(plain(conv, images, 2, "input_x_gradient").values, wide, rtol=1e-4)


def test_images_move_along_the_axis_that_is_meant(models) -> None:
    conv, images = ox.Explainer(models.conv()), models.random(2, 2, 8, 8, seed=4)
    last, turned = ox.Explainer(models.channels_last()), images.transpose(0, 2, 3, 1)
    usual = Continuity(8)(conv, images, 2, "saliency").values
    np.testing.assert_allclose(Continuity(8)(last, turned, 2, "saliency").values, usual, rtol=1e-5)
    down = Continuity(8, axis=2)(conv, images, 2, "saliency").values
    np.testing.assert_allclose(Continuity(8, axis=1)(last, turned, 2, "saliency").values, down, rtol=1e-5)
    assert not np.allclose(down, usual)
    mlp, rows = ox.Explainer(models.mlp()), models.random(2, 5)
    with pytest.raises(DataInputError, match=r"samples of shape \(5,\); say with axis="):
        Continuity()(mlp, rows, 1, "saliency")
    assert Continuity(axis=1, perturb_baseline="mean")(mlp, rows, 1, "saliency").values.shape == (2,)
    with pytest.raises(DataInputError, match="samples lie along it"):
        Continuity(axis=0)(mlp, rows, 1, "saliency")
    with pytest.raises(OptionError, match="'black', 'white', 'mean'"):
        Continuity(perturb_baseline="blue")
    flat = np.full((1, 2, 8, 8), 3, np.float32)
    found = Continuity()(conv, flat, 1, "saliency")
    assert np.isnan(found.values[0])
    assert found.notes[0].endswith("samples (number 0): they look the same wherever they are moved")


@pytest.mark.parametrize("name", [*NOISY, "continuity"])
def test_what_never_changes_is_robust_and_what_is_random_is_not(models, name) -> None:
    conv, images = ox.Explainer(models.conv()), models.random(2, 2, 8, 8, seed=4)
    options = {} if name == "continuity" else {"n_samples": 20}
    np.testing.assert_array_equal(metric(name, **options)(conv, images, 1, Constant()).values, 0)
    wild = metric(name, **options)(conv, images, 1, Hashed()).values
    calm = metric(name, **options)(conv, images, 1, "saliency").values
    if not name.startswith("relative"):  # whose divisors are attributions, some of which are almost 0
        assert (wild > calm).all()
    assert (wild > 0).all()
    if name.endswith("sensitivity"):  # of independent normal numbers: the square root of 2
        np.testing.assert_allclose(wild, np.sqrt(2), rtol=0.25)


@pytest.mark.parametrize("name", NOISY)
def test_the_gradient_of_a_linear_model_never_changes(models, name) -> None:
    model = ox.Explainer(models.linear([[1.0, -2.0, 3.0], [0.5, 1.0, -1.0]]))
    found = metric(name, n_samples=10)(model, models.random(3, 3), 1, ox.Saliency(abs=False))
    np.testing.assert_array_equal(found.values, 0)


def test_input_times_gradient_of_a_linear_model_is_known(models) -> None:
    model, x = ox.Explainer(models.linear([[2.0, -2.0, 2.0]])), models.random(3, 3, seed=8)
    lipschitz = LocalLipschitzEstimate(10, normalise=False)(model, x, None, "input_x_gradient")
    np.testing.assert_allclose(lipschitz.values, 2, rtol=1e-5)  # |w d| / |d| where all |w| are 2
    relative = RelativeInputStability(10)(model, x, None, "input_x_gradient")
    np.testing.assert_allclose(relative.values, 1, rtol=1e-5)  # (wx - wx') / wx is (x - x') / x
    one, at = ox.Explainer(models.linear([[3.0]])), np.array([[2.0]], np.float32)
    points = [uniform(at[0], k, -0.5, 0.5) for k in range(10)]
    expected = max(abs(float(p[0]) - 2) for p in points) / 2
    sensitive = MaxSensitivity(10, 0.5)(one, at, None, "input_x_gradient")
    np.testing.assert_allclose(sensitive.values, expected, rtol=1e-6)
    output = RelativeOutputStability(10)(one, at, None, "input_x_gradient")
    np.testing.assert_allclose(output.values, 1 / 6, rtol=1e-5)  # |d / x| / |w d|


def test_attributions_of_nothing_have_no_sensitivity(models) -> None:
    dead = ox.Explainer(models.linear([[0.0, 0.0]]))
    for kind in (MaxSensitivity, AvgSensitivity):
        found = kind(3)(dead, np.ones((7, 2), np.float32), None, "input_x_gradient")
        assert np.isnan(found.values).all()
        (note,) = found.notes
        assert note.endswith(
            "7 of 7 samples (numbers 0, 1, 2, 3, 4, 5, 6): their attributions are all 0, so there "
            "is nothing to compare a change with"
        )


def test_noise_that_rounding_swallows_says_nothing(models) -> None:
    model = ox.Explainer(models.linear([[1.0, 1.0]]))
    x = np.array([[1e9, 1e9], [1.0, 1.0]], np.float32)
    found = LocalLipschitzEstimate(3)(model, x, None, "input_x_gradient")
    assert np.isnan(found.values).tolist() == [True, False]
    (note,) = found.notes
    assert note.endswith(
        "(number 0): all points near them are the samples themselves; take a larger perturb_std"
    )


def test_where_the_prediction_changes_is_said(models) -> None:
    model, x = ox.Explainer(models.linear([[1.0], [-1.0]])), np.array([[0.01], [5.0], [-0.3]], np.float32)
    kept = MaxSensitivity(10, 0.2)(model, x, 0, "input_x_gradient")
    assert kept.notes == ()
    out = MaxSensitivity(10, 0.2, when_prediction_changes="leave_out")(model, x, 0, "input_x_gradient")
    gone = [float(uniform(x[0], k, -0.2, 0.2)[0]) < 0 for k in range(10)]
    assert out.notes == (f"{sum(gone)} of 30 points are left out: the prediction is another there",)
    np.testing.assert_array_equal(out.values[0], kept.extras["changes"][0][~np.array(gone)].max())
    np.testing.assert_array_equal(out.values[1:], kept.values[1:])
    none = MaxSensitivity(10, 0.2, when_prediction_changes="nan")(model, x, 0, "input_x_gradient")
    assert np.isnan(none.values).tolist() == [True, False, False]
    assert none.notes[0].endswith("(number 0): the prediction is another at some of the points near them")
    away = RelativeInputStability(5, -1.0, -0.5)(model, x, 0, "input_x_gradient")
    assert np.isnan(away.values).tolist() == [True, False, False]
    assert away.notes[0].endswith("(number 0): the prediction is another at all of the points near them")


def test_blocks_and_company_change_nothing(models, monkeypatch) -> None:
    model = ox.Explainer(models.two_inputs())
    x = {"image": models.random(4, 2, 4), "table": models.random(4, 3, seed=5)}
    for name in ("local_lipschitz_estimate", "relative_output_stability"):
        made = metric(name, n_samples=4)
        with monkeypatch.context() as patch:
            whole = made(model, x, 1, "input_x_gradient").values
            for at_once in (1, 40, 100, 10**4):  # of which a point takes 11 and more
                patch.setattr(neighbours, "_AT_ONCE", at_once)
                np.testing.assert_allclose(made(model, x, 1, "input_x_gradient").values, whole, rtol=1e-4)
        alone = made(model, {k: v[2:3] for k, v in x.items()}, 1, "input_x_gradient").values
        np.testing.assert_allclose(alone, whole[2:3], rtol=1e-4)
        one = made(model, x, 1, "input_x_gradient", wrt="table").values
        assert not np.allclose(one, whole)


def test_models_of_fixed_batches_or_without_one_are_asked(models) -> None:
    free, x = ox.Explainer(models.mlp()), models.random(4, 5, seed=6)
    fixed = ox.Explainer(models.mlp(batch="2"))
    graph = "m (float[5] x) => (float[3] y) { a = MatMul(x, w) b = Relu(a) y = MatMul(b, v) }"
    weights = {"w": models.random(5, 8, seed=1), "v": models.random(8, 3, seed=2)}
    whole = ox.Explainer(models.make(graph, **weights))
    for name in ("max_sensitivity", "relative_representation_stability"):
        made = metric(name, n_samples=3)
        expected = made(free, x, 1, "input_x_gradient").values
        np.testing.assert_allclose(made(fixed, x, 1, "input_x_gradient").values, expected, rtol=1e-4)
        assert made(whole, x[0], 1, "input_x_gradient").values.shape == (1,)


def test_what_is_given_for_each_sample_stays_with_it(mlp, x, models) -> None:
    starts = models.random(3, 5, seed=9)
    mask = np.array([[0, 0, 1, 1, 2], [0, 1, 1, 2, 2], [0, 1, 0, 1, 0]])
    for method, options in (
        ("integrated_gradients", {"baselines": starts}),
        ("feature_ablation", {"baselines": {"x": starts}, "feature_mask": mask}),
        ("gradient_shap", {"baselines": starts}),  # rows of a background, the same for all samples
    ):
        made = MaxSensitivity(4)
        together = made(mlp, x, 1, method, explain_options=options).values
        for row in range(3):
            own = {k: {"x": starts[[row]]} if isinstance(v, dict) else v[[row]] for k, v in options.items()}
            own = options if method == "gradient_shap" else own
            alone = made(mlp, x[[row]], 1, method, explain_options=own).values
            np.testing.assert_allclose(alone[0], together[row], rtol=1e-3)


def test_models_without_gradients_are_asked_by_scores(mlp, x) -> None:
    for name in NOISY:
        found = metric(name, n_samples=2)(mlp, x, "predicted", "feature_ablation")
        assert np.isfinite(found.values).all() or found.notes


def test_what_makes_no_sense_is_told(mlp, x, models) -> None:
    with pytest.raises(MethodError, match=r"lower_bound is 0\.5 and upper_bound 0\.2"):
        RelativeInputStability(lower_bound=0.5)
    with pytest.raises(OptionError, match="radius"):
        MaxSensitivity(radius=0.0)
    with pytest.raises(OptionError, match="'keep', 'leave_out' or 'nan'"):
        MaxSensitivity(when_prediction_changes=True)
    with pytest.raises(MethodError, match=r"no input or inner value 'g'"):
        RelativeRepresentationStability(3, layer="g")(mlp, x, 1, "saliency")
    with pytest.raises(MethodError, match="names no value"):
        RelativeRepresentationStability(3, layer=())(mlp, x, 1, "saliency")
    two = ox.Explainer(models.two_inputs())
    inputs = {"image": models.random(2, 2, 4), "table": models.random(2, 3)}
    with pytest.raises(MethodError, match="'flat' does not depend on 'table'"):
        RelativeRepresentationStability(3, layer="flat")(two, inputs, 1, "saliency", wrt="table")
    none = ox.Explainer(models.make("m (float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }"))
    with pytest.raises(MethodError, match="no layer with weights"):
        RelativeRepresentationStability(3)(none, models.random(2, 3), 1, "saliency")
    with pytest.raises(MethodError, match="inside the model"):
        MaxSensitivity(3)(mlp, x, 1, "saliency", wrt="h")


def test_the_last_layer_is_found(models) -> None:
    conv, images = ox.Explainer(models.conv(softmax=True)), models.random(2, 2, 8, 8)
    usual = RelativeRepresentationStability(3)(conv, images, 1, "saliency").values
    named = RelativeRepresentationStability(3, layer="f")(conv, images, 1, "saliency").values
    np.testing.assert_array_equal(usual, named)
    linear, x = ox.Explainer(models.linear([[1.0, 2.0]])), models.random(2, 2)
    own = RelativeRepresentationStability(3)(linear, x, None, "input_x_gradient").values
    np.testing.assert_allclose(own, RelativeInputStability(3)(linear, x, None, "input_x_gradient").values)

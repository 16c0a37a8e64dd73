"""Deep visualisation: units whose best input is known, any layer, any kind of input."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onnxplain as ox
from onnxplain.archive import read_arrays
from onnxplain.errors import DataInputError, MethodError, OnnxplainError, OptionError, TargetError

LINEAR = "m (float[N, 3, 8, 8] x) => (float[N, 2] y) { f = Flatten(x) y = MatMul(f, w) }"


def linear(models: Any, seed: int = 0) -> tuple[Any, np.ndarray]:
    w = models.random(192, 2, seed=seed)
    return models.make(LINEAR, w=w), w


@pytest.mark.parametrize("space", ["pixel", "fourier"])
def test_the_best_input_of_a_linear_unit(space, models) -> None:
    """Of pixels from 0 to 1 that which is 1 where the weight is above 0: the mean too, with one."""
    model, w = linear(models)
    found = ox.visualise(
        model,
        unit=1,
        space=space,
        jitter=0,
        n_steps=300,
        mean=0.5,
        std=0.25,
        decorrelate=False,
        learning_rate=0.2,
    )
    best = (w[:, 1] > 0).reshape(3, 8, 8)
    strong = np.abs(w[:, 1]).reshape(3, 8, 8) > 0.3
    assert found.pixels.shape == (3, 8, 8)
    assert found.activations[-1] > 0.9 * 2 * np.abs(w[:, 1]).sum(), "nearly as high as there is"
    if space == "pixel":
        np.testing.assert_allclose(found.pixels[strong], best[strong], atol=1e-6)
    np.testing.assert_allclose(found.image[0], (found.pixels - 0.5) / 0.25, rtol=1e-4, atol=1e-5)
    score = found.image.reshape(1, -1) @ w[:, 1]
    assert found.activations.shape == (301,)
    np.testing.assert_allclose(found.activations[-1], score[0], rtol=1e-4)
    assert found.activations[-1] > found.activations[0]


@pytest.mark.parametrize("space", ["pixel", "fourier"])
def test_any_layer_by_value_or_node(space, models) -> None:
    explainer = ox.Explainer(models.conv())
    inner = next(n.outputs[0].name for n in explainer._normal.model.graph if n.op_type == "Relu")
    found = ox.visualise(explainer, inner, 1, space=space, n_steps=30, jitter=1, axes=(2, 3))
    assert found.layer == inner
    assert found.image.shape == (1, 2, 8, 8)
    value = explainer(found.image, (1, 0, 0), "saliency", output=inner).predictions
    np.testing.assert_allclose(found.activations[-1], value[0, 1].mean(), rtol=1e-4)
    assert found.activations[-1] > found.activations[0] + 0.1
    one = ox.visualise(explainer, inner, (1, 2, 3), space=space, n_steps=10, jitter=0)
    value = explainer(one.image, (1, 2, 3), "saliency", output=inner).score
    np.testing.assert_allclose(one.activations[-1], value[0], rtol=1e-4)


def test_channels_last_finds_the_same(models) -> None:
    first, last = (
        ox.visualise(m, unit=2, n_steps=20, jitter=0, space="pixel", axes=axes, seed=3)
        for m, axes in ((models.conv(), (2, 3)), (models.channels_last(), (1, 2)))
    )
    assert last.image.shape == (1, 8, 8, 2)
    assert first.activations[-1] > first.activations[0]
    assert last.activations[-1] > last.activations[0]


@pytest.mark.parametrize("space", ["pixel", "fourier"])
def test_series_and_tables(space, models) -> None:
    wave = np.sin(np.arange(40) / 3).astype(np.float32)
    text = "m (float[N, 1, L] x) => (float[N, 1] y) { f = Flatten(x) y = MatMul(f, w) }"
    series = models.make(text, w=wave[:, None])
    found = ox.visualise(series, unit=0, size=40, space=space, n_steps=100, jitter=0, range=(-1.0, 1.0))
    assert np.corrcoef(found.pixels[0], wave)[0, 1] > 0.8
    table = ox.visualise(models.mlp(), unit=0, space="pixel", n_steps=20)
    assert table.image.shape == (1, 5)
    assert table.plot().axes


def test_several_inputs(models) -> None:
    explainer = ox.Explainer(models.two_inputs())
    table = models.random(1, 3, seed=1)
    found = ox.visualise(explainer, unit=1, input="image", inputs={"table": table}, n_steps=10, axes=2)
    known = explainer({"image": found.image, "table": table}, 1, "saliency").score
    np.testing.assert_allclose(found.activations[-1], known[0], rtol=1e-4)
    with pytest.raises(DataInputError, match="input 'table' is missing"):
        ox.visualise(explainer, unit=1, input="image", axes=2)


def test_same_seed_same_bits_another_seed_another_picture(models) -> None:
    options = {"unit": 1, "n_steps": 5}
    one, two, other = (ox.visualise(models.conv(), **options, seed=s).image for s in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert np.abs(one - other).max() > 1e-3


def test_regularisers(models) -> None:
    """One step from a known start: decay, then blur, then what is small is 0."""
    model, w = linear(models)
    options: dict[str, Any] = {"unit": 0, "space": "pixel", "n_steps": 1, "jitter": 0, "range": None}
    slope = w[:, 0].reshape(3, 8, 8)
    plain = ox.visualise(model, **options, learning_rate=1e-30).image[0]
    stepped = ox.visualise(model, **options).image[0]
    np.testing.assert_allclose(
        stepped, plain + 0.02 * slope / np.sqrt((slope**2).mean()), rtol=1e-4, atol=1e-6
    )
    decayed = ox.visualise(model, **options, decay=0.25).image[0]
    np.testing.assert_allclose(decayed, 0.75 * stepped, rtol=1e-5, atol=1e-7)
    blurred = ox.visualise(model, **options, blur_sigma=1.0, blur_every=1).image
    np.testing.assert_allclose(blurred, ox.Blur(1.0).instead(stepped[None], 0, "x"), rtol=1e-4, atol=1e-6)
    late = ox.visualise(model, **options, blur_sigma=1.0, blur_every=2).image[0]
    np.testing.assert_array_equal(late, stepped)
    sizes = {
        "clip_norm": np.sqrt((stepped**2).sum(0)),
        "clip_contribution": np.abs((stepped * slope).sum(0)),
    }
    for name, size in sizes.items():
        clipped = ox.visualise(model, **options, **{name: 25.0}).image[0]
        kept = size >= np.percentile(size, 25)
        np.testing.assert_allclose(clipped, stepped * kept, rtol=1e-5, atol=1e-7)
        assert kept.sum() == 48


def test_what_has_no_slope_at_zero(models) -> None:
    body = "s = ReduceL2<keepdims = 1>(x, a) y = Sqrt(s)"
    model = models.make(f"m (float[N, 8] x) => (float[N, 1] y) {{ {body} }}", a=np.array([1]))
    found = ox.visualise(model, unit=0, space="pixel", n_steps=20)
    np.testing.assert_allclose(found.activations[-1], 8**0.25, rtol=0.05)


def test_files(models, tmp_path) -> None:
    found = ox.visualise(linear(models)[0], unit=1, n_steps=3)
    found.save(tmp_path / "unit.png")
    with Image.open(tmp_path / "unit.png") as picture:
        assert picture.size[0] > 500
    found.save(tmp_path / "unit.npz")
    held = read_arrays(tmp_path / "unit.npz")
    np.testing.assert_array_equal(held["image"], found.image)
    np.testing.assert_array_equal(held["activations"], found.activations)
    assert json.loads(str(held["meta"]))["unit"] == "1"
    with pytest.raises(DataInputError, match=r"unit.txt': the ending says what to write; use one of .png"):
        found.save(tmp_path / "unit.txt")


def test_options_of_explainers(models) -> None:
    options: dict[str, Any] = {"unit": 1, "n_steps": 2, "memory_budget": 10**6, "threads": 1}
    assert ox.visualise(models.conv(), **options, device="cpu").image.shape == (1, 2, 8, 8)
    with pytest.raises(OptionError, match="memory_budget, threads: the explainer has that already"):
        ox.visualise(ox.Explainer(models.conv()), **options)


WRONG: dict[str, tuple[dict[str, Any], type[OnnxplainError], str]] = {
    "unit": ({"unit": 4}, TargetError, r"unit 4 is out of range: output 'y'.* with 4 units \(0 to 3\)"),
    "no unit": ({}, TargetError, "it has 4 scores.*target="),
    "a truth": ({"unit": True}, TargetError, "unit is True; give a whole number"),
    "layer": ({"layer": "nowhere", "unit": 0}, TargetError, "'nowhere'"),
    "input": ({"input": "z", "unit": 0}, DataInputError, "no input 'z' of floats; it has x"),
    "size": ({"unit": 0, "size": 8}, DataInputError, "'x' is .* none of its axes is open"),
    "parameter": ({"unit": 0, "step": 3}, MethodError, "visualise does not take 'step'"),
    "other space": ({"unit": 0, "decay": 0.1}, MethodError, "decay is for space='pixel'"),
    "range": ({"unit": 0, "range": (1.0, 0.0)}, MethodError, r"range is \(1.0, 0.0\); give two numbers"),
    "std": ({"unit": 0, "std": 0.0}, MethodError, "std is 0.0; give numbers above 0"),
    "no mean": (
        {"unit": 0, "mean": ()},
        MethodError,
        r"mean is \(\); give a number, or one for each channel",
    ),
    "mean": ({"unit": 0, "mean": (0.5, 0.5, 0.5)}, DataInputError, "mean has 3 numbers, and 'x' samples"),
    "axes": ({"unit": 0, "axes": 7}, DataInputError, "axis 7 of 'x' cannot be meant"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_refused(what, models) -> None:
    options, error, words = WRONG[what]
    with pytest.raises(error, match=words):
        ox.visualise(models.conv(), **options)


def test_tables_have_no_space(models) -> None:
    with pytest.raises(DataInputError, match=r"shape \(5,\), which have no space; take space='p"):
        ox.visualise(models.mlp(), unit=0)
    with pytest.raises(DataInputError, match=r"'x' is .* give size= with 1 numbers, for axes 1"):
        ox.visualise(models.make("m (float[N, L] x) => (float[N, L] y) { y = Relu(x) }"), unit=0)


def test_a_unit_is_a_target_of_every_method(models) -> None:
    explainer, x = ox.Explainer(models.maps()), models.random(2, 2, 5, 5)
    shape = explainer.predict(x)[explainer.outputs[0].name].shape
    found = explainer(x, ox.Unit(1), "saliency")
    weights = np.zeros(shape[1:], np.float32)
    weights[1] = 1 / np.prod(shape[2:])
    np.testing.assert_array_equal(found.values, explainer(x, ox.Weights(weights), "saliency").values)
    with pytest.raises(TargetError, match=r"Unit: index is 0\.5; give a whole number"):
        ox.Unit(0.5)


@pytest.mark.parametrize("last", [True, False])
def test_samples_may_lie_last_or_nowhere(last, models) -> None:
    """The same network with its samples first, and elsewhere."""
    body = "c = Conv(t, w) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) z = MatMul(f, v)"
    weights = {"w": models.random(4, 3, 3, 3, seed=1), "v": models.random(4, 2, seed=2)}
    plain = models.make(f"m (float[N, 3, 8, 8] t) => (float[N, 2] z) {{ {body} }}", **weights)
    if last:
        ends = "(float[3, 8, 8, N] x) => (float[2, N] y)", "Transpose<perm = [3, 0, 1, 2]>(x)", "Transpose(z)"
    else:
        ends = "(float[3, 8, 8] x) => (float[2] y)", "Unsqueeze(x, zero)", "Squeeze(z, zero)"
        weights["zero"] = np.array([0])
    moved = models.make(f"m {ends[0]} {{ t = {ends[1]} {body} y = {ends[2]} }}", **weights)
    one, other = (ox.visualise(model, unit=1, n_steps=6) for model in (plain, moved))
    np.testing.assert_allclose(other.pixels, one.pixels, rtol=1e-3)
    np.testing.assert_allclose(other.activations, one.activations, rtol=1e-3)
    assert other.image.shape == ((3, 8, 8, 1) if last else (3, 8, 8))

"""What stands where something is taken away, made of each sample: for every method with baselines."""

from __future__ import annotations

import numpy as np
import pytest
from kinds import GENERAL, facts, made
from word_models import texts

import onnxplain as ox
from onnxplain.errors import DataInputError, OptionError

TAKERS = [name for name in GENERAL if ox.METHODS[name].takes_baselines and not facts(name).few]
every_taker = pytest.mark.parametrize("method", TAKERS)


def blurred(x: np.ndarray, sigma: float, axis: int) -> np.ndarray:
    """One axis after the other, the outermost value going on beyond the border."""
    reach = int(4 * sigma + 0.5)
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (steps / sigma) ** 2)
    places = np.arange(x.shape[axis])[:, None] + steps
    window = np.take(x.astype(np.float64), places.clip(0, x.shape[axis] - 1), axis)
    return np.moveaxis(window, axis + 1, -1) @ (kernel / kernel.sum())


def averaged(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(x.mean(axes, keepdims=True), x.shape)


@every_taker
@pytest.mark.parametrize("last", [False, True])
def test_what_is_made_of_each_sample_is_its_baseline(method, last, models) -> None:
    x = models.random(3, 2, 8, 8, seed=4)
    model, (a, b) = (models.channels_last(), (1, 2)) if last else (models.conv(), (2, 3))
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if last else x
    axes = {"axes": (a, b)} if last else {}  # of two channels nothing tells where they are
    explainer = ox.Explainer(model)
    for given, alike in (
        (ox.Blur(1.5, **axes), blurred(blurred(x, 1.5, a), 1.5, b)),
        (ox.Mean(**axes), averaged(x, (a, b))),
    ):
        found = explainer(x, [0, 1, 2], made(method), baselines=given)
        for k in range(3):
            one = explainer(x[k : k + 1], k, made(method), baselines=alike[k : k + 1].astype(np.float32))
            np.testing.assert_allclose(found.values[k], one.values[0], rtol=1e-3, atol=1e-5)
            alone = explainer(x[k : k + 1], k, made(method), baselines=given)
            np.testing.assert_allclose(found.values[k], alone.values[0], rtol=1e-4, atol=1e-6)
            if found.reference is not None:
                np.testing.assert_allclose(found.reference[k], one.reference[0], rtol=1e-4)


@every_taker
def test_names(method, models) -> None:
    x = models.random(2, 2, 8, 8, seed=4)
    explainer = ox.Explainer(models.conv())
    for name, same in (
        ("blur", ox.Blur(10.0)),
        ("mean", ox.Mean()),
        ("uniform", ox.Uniform()),
        ("zero", 0.0),
    ):
        by_name, by_value = (explainer(x, 1, made(method), baselines=b).values for b in (name, same))
        np.testing.assert_array_equal(by_name, by_value)
    with pytest.raises(DataInputError, match=r"baselines of 'x' are 'blurr'; give 'blur', .*mean 'blur'"):
        explainer(x, 1, made(method), baselines="blurr")


def test_axes_count_in_the_array_as_it_is_given(models) -> None:
    inputs = {"x": models.random(3, 5), "aside": models.random(5, 3, seed=1)}
    explainer = ox.Explainer(models.batch_last())
    alike = {k: averaged(v, (axis,)) for (k, v), axis in zip(inputs.items(), (1, 0), strict=True)}
    expected = explainer(inputs, 1, "ig", baselines=alike)
    for axes in (1, 0), (-1, -2):
        given = {"x": ox.Mean(axes[0]), "aside": ox.Mean((axes[1],))}
        found = explainer(inputs, 1, "ig", baselines=given)
        for name in inputs:
            np.testing.assert_allclose(found.values[name], expected.values[name], rtol=1e-5, atol=1e-7)
    mixed = explainer(inputs, 1, "ig", baselines={"x": alike["x"], "aside": ox.Mean(0)})
    np.testing.assert_allclose(mixed.values["aside"], expected.values["aside"], rtol=1e-5, atol=1e-7)
    with pytest.raises(DataInputError, match=r"axis 1 of 'aside' cannot be meant: samples lie along it"):
        explainer(inputs, 1, "ig", baselines={"aside": ox.Mean(1)})
    with pytest.raises(DataInputError, match=r"axis 2 of 'x' cannot be meant: it has 2 axes"):
        explainer(inputs, 1, "ig", baselines={"x": ox.Mean(2)})
    with pytest.raises(DataInputError, match=r"'x' has samples of shape \(5,\).*axes="):
        explainer(inputs, 1, "ig", baselines="mean")


def test_channels_are_found_first_or_last() -> None:
    x = np.random.default_rng(0).random((2, 3, 6, 7), np.float32)
    for array, axes in ((x, (2, 3)), (x.transpose(0, 2, 3, 1), (1, 2))):
        found = ox.Mean().instead(array, 0, "'x'")
        np.testing.assert_allclose(found, averaged(array, axes), rtol=1e-6)


def test_floats_only(models) -> None:
    whole = ox.Explainer(
        models.make("m (int64[N, 3, 4, 4] x) => (float[N, 3, 4, 4] y) { y = Cast<to=1>(x) }")
    )
    with pytest.raises(DataInputError, match=r"'x' is of int64, and only floats can be blurred, av"):
        whole(np.ones((1, 3, 4, 4), int), (0, 0, 0), "feature_ablation", baselines="blur")
    tokens = {"ids": np.ones((1, 4), int), "mask": np.ones((1, 4), int)}
    with pytest.raises(DataInputError, match=r"'ids' holds tokens, which cannot be blurred.*give ids"):
        ox.explain(models.tokens(), tokens, 0, method="ig", baselines=ox.Mean(1))
    with pytest.raises(DataInputError, match=r"a Background holds rows, and Mean\(axes=None\)"):
        ox.explain(models.conv(), models.random(1, 2, 8, 8), 0, baselines=ox.Background(ox.Mean()))
    with pytest.raises(OptionError, match=r"Blur: sigma is 0; give a number above 0"):
        ox.Blur(0)


def test_integers_that_become_floats_are_blurred_there(models) -> None:
    """Pictures of whole numbers, walked back to the floats that they are turned into."""
    text = "m (uint8[N, 3, 4, 4] x) => (float[N, 1] y) {{ {} f = Flatten(p) y = MatMul(f, w) }}"
    w = models.random(48, 1)
    whole = models.make(text.format("c = Cast<to = 1>(x) p = Tanh(c)"), w=w)
    floats = models.make(text.replace("uint8", "float").format("p = Tanh(x)"), w=w)
    x = np.random.default_rng(0).integers(0, 4, (2, 3, 4, 4)).astype(np.uint8)
    found = ox.explain(whole, x, method="ig", baselines="mean")
    expected = ox.explain(floats, x.astype(np.float32), method="ig", baselines="mean")
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("method", ["feature_ablation", "ig"])
def test_a_token_stands_for_what_is_taken_away(method, models) -> None:
    """A mask token: one number for all places, or ids."""
    ids = np.array([[3, 5, 7, 1], [2, 2, 9, 0]])
    explainer = ox.Explainer(models.tokens())
    inputs = {"ids": ids, "mask": np.ones_like(ids)}
    one, all_ = (explainer(inputs, 1, method, baselines=b) for b in (17, np.full((2, 4), 17)))
    np.testing.assert_array_equal(one.values, all_.values)
    if method == "ig":
        start = explainer({**inputs, "ids": np.full_like(ids, 17)}, 1, method).score
        np.testing.assert_allclose(one.reference, one.score - start, rtol=1e-5)
        return
    for place in range(4):
        masked = ids.copy()
        masked[:, place] = 17
        lost = one.score - explainer({**inputs, "ids": masked}, 1, method).score
        np.testing.assert_allclose(one.values[:, place], lost, rtol=1e-5, atol=1e-6)


def test_a_word_is_a_text_for_inputs_of_texts() -> None:
    model, x = texts(), np.array([["red", "blue"]])
    found = ox.explain(model, x, method="feature_ablation", baselines="green")
    assert found.values.tolist() == [[-1.0, 20.0]]
    zero = ox.explain(model, x, method="feature_ablation", baselines="zero")
    assert zero.values.tolist() == [[1.0, 40.0]], "a word that the model does not know"
    with pytest.raises(DataInputError, match="'x' is of object, and only floats"):
        ox.explain(model, x, method="feature_ablation", baselines=ox.Mean())


def test_uniform_numbers_are_the_same_wherever_a_sample_is() -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 50)).astype(np.float32)
    made = ox.Uniform(seed=3).instead(x, 0, "'x'")
    rows = x.reshape(3, -1)
    draws = (made.reshape(3, -1) - rows.min(1)[:, None]) / np.ptp(rows, 1)[:, None]
    np.testing.assert_allclose(draws, np.broadcast_to(draws[:1], draws.shape), atol=1e-5)
    assert draws.min() >= -1e-6
    assert draws.max() <= 1 + 1e-6
    assert abs(draws[0].mean() - 0.5) < 0.1
    np.testing.assert_array_equal(ox.Uniform(seed=3).instead(x[2:], 0, "'x'"), made[2:])
    assert np.abs(ox.Uniform(seed=4).instead(x, 0, "'x'") - made).max() > 0.1
    bound = ox.Uniform(-1, 2).instead(x, 0, "'x'")
    assert bound.min() >= -1
    assert 1.5 < bound.max() <= 2
    with pytest.raises(OptionError, match=r"low is 2 and high 1; give low below high"):
        ox.Uniform(2, 1)

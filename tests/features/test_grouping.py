"""Players by name: which elements leave together, exactly, and in a batch as one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from word_models import texts

import onnxplain as ox
from onnxplain.errors import DataInputError, OptionError
from onnxplain.graph.interface import InputInfo
from onnxplain.grouping import find_players
from onnxplain.runtime.layout import Layout


def ids(given: Any, **features: np.ndarray) -> dict[str, list[Any]]:
    """The players' numbers, by input."""
    infos = [InputInfo(k, None, None, "raw", (k,)) for k in features]
    n = len(next(iter(features.values())))
    found = find_players(given, infos, features, Layout(n, dict.fromkeys(features, 0)))
    assert found is not None
    assert found.count == max(int(v.max()) for v in found.ids.values()) + 1
    return {k: v.tolist() for k, v in found.ids.items()}


A, B = np.zeros((2, 2, 3)), np.zeros((2, 2))


def test_names() -> None:
    assert ids("elements", a=A, b=B) == {"a": [[[0, 1, 2], [3, 4, 5]]], "b": [[6, 7]]}
    assert ids("tokens", a=A, b=B) == {"a": [[[0, 0, 0], [1, 1, 1]]], "b": [[2, 3]]}
    assert ids("columns", a=A, b=B) == {"a": [[[0, 1, 2], [0, 1, 2]]], "b": [[3, 4]]}
    assert ids("inputs", a=A, b=B) == {"a": [[[0, 0, 0], [0, 0, 0]]], "b": [[1, 1]]}
    assert ids("columns", a=np.zeros(3)) == {"a": [0]}, "a sample is one number"


def test_pixels_are_places_whose_channels_leave_together() -> None:
    found = ids("pixels", first=np.zeros((2, 3, 2, 2)), last=np.zeros((2, 2, 2, 3)), table=np.zeros((2, 2)))
    assert found["first"] == [[[[0, 1], [2, 3]]] * 3]
    assert found["last"] == [[[[4] * 3, [5] * 3], [[6] * 3, [7] * 3]]]
    assert found["table"] == [[8, 9]], "no channels: each is a place"
    volume = np.array(ids("pixels", x=np.zeros((2, 1, 2, 3, 2)))["x"])
    np.testing.assert_array_equal(volume, np.arange(12).reshape(1, 1, 2, 3, 2))


def test_pixels_of_channels_that_the_graph_tells(models) -> None:
    """8 channels of 4 by 4 places, where the lengths alone would say otherwise."""
    proto = models.make(
        "m (float[N, 8, 4, 4] x) => (float[N, 2] y) "
        "{ c = Conv(x, w) r = Relu(c) g = GlobalAveragePool(r) y = Flatten(g) }",
        w=models.random(2, 8, 3, 3, seed=1),
    )
    x = models.random(2, 8, 4, 4, seed=2)
    explainer = ox.Explainer(proto)
    named = explainer(x, 1, "feature_ablation", feature_mask="pixels").values
    numbered = explainer(x, 1, "feature_ablation", feature_mask=np.arange(16).reshape(1, 4, 4)).values
    np.testing.assert_array_equal(named, numbered)
    assert (np.ptp(named, axis=1) == 0).all()


def test_names_and_numbers_together() -> None:
    """Equal numbers are one player in all inputs, and a name's players are none of them."""
    mixed = {"a": "tokens", "b": np.array([5, 9]), "c": np.array([9, -1])}
    assert ids(mixed, a=A, b=B, c=B) == {"a": [[[2, 2, 2], [3, 3, 3]]], "b": [[0, 1]], "c": [[1, -1]]}
    assert ids({"b": "elements"}, a=A, b=B) == {"a": [[[2, 2, 2], [2, 2, 2]]], "b": [[0, 1]]}


def quarters(seed: int) -> np.ndarray:
    """Four fields of one colour each, (3, 8, 8), and a little noise."""
    rng = np.random.default_rng(seed)
    image = np.repeat(np.repeat(rng.permutation(12).reshape(3, 2, 2) * 1.0, 4, 1), 4, 2)
    return (image + 0.01 * rng.standard_normal(image.shape)).astype(np.float32)


@pytest.mark.parametrize("last", [False, True])
def test_segments_are_regions_of_one_colour(last) -> None:
    x = np.stack([quarters(0), quarters(1)])
    x = x.transpose(0, 2, 3, 1) if last else x
    found = np.array(ids(ox.Segments(4, compactness=0.1, sigma=0.0), x=x)["x"])
    exact = np.repeat(np.repeat([[0, 1], [2, 3]], 4, 0), 4, 1)[None]
    np.testing.assert_array_equal(found, np.broadcast_to(exact[..., None] if last else exact[None], x.shape))


def test_each_image_has_segments_of_its_own(models) -> None:
    """A batch gives what its images give one by one, however many segments each has."""
    x = models.random(3, 2, 8, 8, seed=5)
    x[1] = 0
    x[2, :, :4] = 3
    explainer = ox.Explainer(models.conv())
    for given in ("segments", ox.Segments(6, compactness=0.1, sigma=0.0)):
        found = explainer(x, 1, "feature_ablation", feature_mask=given)
        for k in range(3):
            alone = explainer(x[k : k + 1], 1, "feature_ablation", feature_mask=given)
            np.testing.assert_allclose(found.values[k], alone.values[0], rtol=1e-5, atol=1e-6)
    named = ids(ox.Segments(6, compactness=0.1, sigma=0.0), x=x)["x"]
    assert len({np.max(each) for each in named}) > 1, "the test sees other numbers of segments"
    part = np.array(named[0])
    for number in range(part.max() + 1):
        without = np.where(part == number, 0, x[:1]).astype(np.float32)
        lost = found.score[:1] - explainer(without, 1, "feature_ablation").score
        np.testing.assert_allclose(found.values[0][part == number], lost[0], rtol=1e-4, atol=1e-5)


def test_images_of_whole_numbers_have_segments() -> None:
    x = np.round(20 * np.stack([quarters(0), quarters(1)])).astype(np.uint8)
    exact = np.repeat(np.repeat([[0, 1], [2, 3]], 4, 0), 4, 1)
    found = np.array(ids(ox.Segments(4, compactness=0.1, sigma=0.0), x=x)["x"])
    np.testing.assert_array_equal(found, np.broadcast_to(exact, x.shape))


@pytest.mark.parametrize("name", ["tokens", "columns", "inputs"])
def test_a_batch_is_its_samples_one_by_one(name, models) -> None:
    inputs = {"image": models.random(3, 2, 4), "table": models.random(3, 3, seed=1)}
    explainer = ox.Explainer(models.two_inputs())
    found = explainer(inputs, [0, 1, 0], "feature_ablation", feature_mask=name)
    for k in range(3):
        one = {key: v[k : k + 1] for key, v in inputs.items()}
        alone = explainer(one, [0, 1, 0][k], "feature_ablation", feature_mask=name)
        for key in inputs:
            np.testing.assert_allclose(found.values[key][k], alone.values[key][0], rtol=1e-5, atol=1e-6)
    axis = {"tokens": 2, "columns": 1, "inputs": (1, 2)}[name]
    assert (np.ptp(found.values["image"], axis=axis) == 0).all(), "one player has one attribution"
    without = {**inputs, "table": np.zeros((3, 3), np.float32)}
    lost = found.score - explainer(without, [0, 1, 0], "feature_ablation").score
    if name == "inputs":
        np.testing.assert_allclose(
            found.values["table"], np.repeat(lost[:, None], 3, 1), rtol=1e-4, atol=1e-6
        )


def test_elements_are_what_is_done_anyway(models) -> None:
    x = models.random(2, 5)
    named, plain = (
        ox.explain(models.mlp(), x, 1, method="feature_ablation", feature_mask=m) for m in ("elements", None)
    )
    np.testing.assert_array_equal(named.values, plain.values)


WRONG: dict[str, tuple[Any, str]] = {
    "name": ("colums", r"feature_mask 'colums' is unknown; give 'elements', .*mean 'columns'"),
    "segments of a table": ("segments", r"'x' holds samples of shape \(5,\), which have no seg.*'tokens'"),
    "floats": (np.zeros(5), r"the feature_mask of 'x' must be integers, not float64"),
    "shape": (np.zeros(4, int), r"the feature_mask of 'x' has shape \(4,\), which does not broadcast"),
    "input": ({"z": "columns"}, r"feature_mask for 'z', which is not explained; explained are x"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_refused(what, models) -> None:
    given, words = WRONG[what]
    with pytest.raises(DataInputError, match=words):
        ox.explain(models.mlp(), models.random(2, 5), 1, method="feature_ablation", feature_mask=given)


def test_no_segments(models) -> None:
    words = np.array([["red", "blue"]])
    with pytest.raises(DataInputError, match="'x' holds texts, which have no segments"):
        ox.explain(texts(), words, method="feature_ablation", feature_mask="segments")
    x = models.random(1, 2, 8, 8)
    x[0, 0, 0, 0] = np.nan
    with pytest.raises(DataInputError, match="'x' holds NaN or infinite numbers, and has no segments"):
        ox.explain(models.conv(), x, 0, method="feature_ablation", feature_mask="segments")
    inputs = {"image": models.random(1, 2, 4), "table": models.random(1, 3)}
    with pytest.raises(DataInputError, match="several inputs are explained; give feature_mask as a dict"):
        ox.explain(models.two_inputs(), inputs, 0, method="feature_ablation", feature_mask=np.arange(3))
    with pytest.raises(OptionError, match="Segments: n_segments is 0; give a whole number of at least 1"):
        ox.Segments(0)

"""Segments: what each segmenter finds in what is drawn for it, and what has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError, OptionError
from onnxplain.features.pieces import equal_pieces, levels


def quarters(seed: int, *shape: int) -> np.ndarray:
    """Fields of one colour each, halves along each axis, and a little noise: (3, *shape)."""
    rng = np.random.default_rng(seed)
    image = rng.permutation(3 * 2 ** len(shape)).reshape(3, *(2,) * len(shape)) * 1.0
    for axis, length in enumerate(shape):
        image = np.repeat(image, length // 2, axis + 1)
    return (image + 0.01 * rng.standard_normal(image.shape)).astype(np.float32)


def same_parts(found: np.ndarray, drawn: np.ndarray) -> bool:
    """Tell whether two ways to number places make the same parts."""
    pairs = {(int(a), int(b)) for a, b in zip(found.ravel(), drawn.ravel(), strict=True)}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


EACH = {
    "slic": {"n_segments": 4, "compactness": 0.1, "sigma": 0.0},
    "quickshift": {"max_dist": 8.0, "kernel_size": 2.0, "ratio": 1.0},
    "felzenszwalb": {"scale": 20.0, "sigma": 0.0, "min_size": 5},
    "grid": {"n_segments": 4},
}


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("method", EACH)
def test_fields_of_one_colour(method, last) -> None:
    x = np.stack([quarters(0, 16, 16), quarters(1, 16, 16)])
    drawn = np.repeat(np.repeat([[0, 1], [2, 3]], 8, 0), 8, 1)
    given = x.transpose(0, 2, 3, 1) if last else x
    found = ox.Segments(method=method, **EACH[method]).ids(given, "'x'")
    assert found.shape == given.shape
    found = found.transpose(0, 3, 1, 2) if last else found
    for each in found.reshape(6, 16, 16):
        assert same_parts(each, drawn)
    assert (found == found[:, :1]).all(), "channels leave together"


@pytest.mark.parametrize("method", ["slic", "grid"])
def test_volumes(method) -> None:
    x = quarters(0, 8, 8, 8)[None]
    found = ox.Segments(
        8, method=method, **({"compactness": 0.1, "sigma": 0.0} if method == "slic" else {})
    ).ids(x, "'x'")
    drawn = np.arange(8).reshape(2, 2, 2)
    for axis in range(3):
        drawn = np.repeat(drawn, 4, axis)
    assert all(same_parts(channel, drawn) for channel in found[0])


def test_equal_pieces() -> None:
    assert equal_pieces((6,), 3).tolist() == [0, 0, 1, 1, 2, 2]
    assert equal_pieces((5,), 2).tolist() == [0, 0, 0, 1, 1]
    assert equal_pieces((3,), 50).tolist() == [0, 1, 2]
    assert equal_pieces((2, 4), 2).tolist() == [[0, 0, 1, 1]] * 2
    assert equal_pieces((4, 4), 16).ravel().tolist() == list(range(16))


def test_levels() -> None:
    steps = np.repeat([0.0, 5.0, 4.0, 9.0], [3, 5, 2, 6])[:, None]
    assert levels(steps, 9).tolist() == np.repeat([0, 1, 2, 3], [3, 5, 2, 6]).tolist(), (
        "no more than there are"
    )
    assert levels(steps, 2).tolist() == [0] * 10 + [1] * 6
    assert levels(steps, 3, shortest=3).tolist() == np.repeat([0, 1, 2], [3, 7, 6]).tolist()
    assert levels(np.hstack([0 * steps, steps]), 9).tolist() == levels(steps, 9).tolist(), (
        "any channel's level"
    )
    assert levels(0.1 + 0 * steps, 5).tolist() == [0] * 16


def test_the_first_cut_is_the_best_of_all() -> None:
    series = np.random.default_rng(3).standard_normal((40, 2)).cumsum(0)

    def left(cut: int) -> float:
        return sum(float(((part - part.mean(0)) ** 2).sum()) for part in (series[:cut], series[cut:]))

    assert int(np.argmax(levels(series, 2))) == min(range(1, 40), key=left)


@pytest.mark.parametrize(
    ("shape", "axes", "time"),
    [((2, 12), None, 1), ((2, 3, 12), None, 2), ((2, 12, 3), None, 1), ((2, 3, 12), 1, 1)],
)
def test_series(shape, axes, time) -> None:
    x = np.random.default_rng(0).random(shape, np.float32)
    found = np.moveaxis(ox.Segments(3, method="grid", axes=axes).ids(x, "'x'"), time, -1)
    pieces = equal_pieces((shape[time],), 3)
    np.testing.assert_array_equal(found, np.broadcast_to(pieces, found.shape))


@pytest.mark.parametrize("method", ["grid", "changes"])
def test_time_along_which_samples_do_not_lie(method, models) -> None:
    """Axes count as in the array that is given, wherever its samples lie."""
    inputs = {"x": models.random(3, 5), "aside": models.random(5, 3, seed=1)}
    explainer = ox.Explainer(models.batch_last())
    mask = {"x": "inputs", "aside": ox.Segments(2, method=method, axes=0)}
    found = explainer(inputs, 1, "feature_ablation", feature_mask=mask).arrays["aside"]
    for k in range(3):
        one = {"x": inputs["x"][k : k + 1], "aside": inputs["aside"][:, k : k + 1]}
        alone = explainer(one, 1, "feature_ablation", feature_mask=mask).arrays["aside"]
        np.testing.assert_allclose(found[:, k], alone[:, 0], rtol=1e-5, atol=1e-6)
        assert len(np.unique(found[:, k])) == 2


def test_a_function_of_the_users_own(models) -> None:
    """As LIME takes them: an image with its channels last, in its own units, to a number for each place."""
    seen: list[np.ndarray] = []

    def halves(image: np.ndarray) -> np.ndarray:
        seen.append(image)
        made = np.full(image.shape[:2], -1)
        made[:, 2:5], made[:, 5:] = 7, 3
        return made

    x = models.random(2, 2, 8, 8, seed=3)
    explainer = ox.Explainer(models.conv())
    mask = np.full((8, 8), -1)
    mask[:, 2:5], mask[:, 5:] = 0, 1
    wanted = explainer(x, 1, "feature_ablation", feature_mask=mask).values
    for given in (halves, ox.Segments(method=halves), {"x": halves}):
        seen.clear()
        np.testing.assert_array_equal(explainer(x, 1, "feature_ablation", feature_mask=given).values, wanted)
        np.testing.assert_array_equal(seen, x.transpose(0, 2, 3, 1))
    assert not wanted[..., :2].any()
    with pytest.raises(
        DataInputError, match=r"<lambda> made float64 of shape \(8, 8\).*integers of shape \(8, 8\)"
    ):
        explainer(x, 1, "feature_ablation", feature_mask=lambda image: np.zeros(image.shape[:2]))


def test_a_mask_of_an_image_fits_wherever_its_channels_lie(models) -> None:
    x = models.random(2, 2, 8, 8, seed=3)
    mask = np.arange(64).reshape(8, 8) // 9
    first = ox.explain(models.conv(), x, 1, method="feature_ablation", feature_mask=mask).values
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    found = ox.explain(models.channels_last(), last, 1, method="feature_ablation", feature_mask=mask).values
    np.testing.assert_allclose(found.transpose(0, 3, 1, 2), first, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["slic", "grid"])
def test_names_of_segmenters(name, models) -> None:
    x = np.stack([quarters(k, 8, 8)[:2] for k in (0, 1)])
    explainer = ox.Explainer(models.conv())
    by_name, given = (
        explainer(x, 1, "feature_ablation", feature_mask=m).values for m in (name, ox.Segments(method=name))
    )
    np.testing.assert_array_equal(by_name, given)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "of another": ({"method": "grid", "compactness": 1.0}, "grid does not take compactness; it takes n_seg"),
    "of a function": ({"method": abs, "n_segments": 3}, "abs does not take n_segments; it takes no options"),
    "unknown": ({"method": "slik"}, "method is 'slik'; give 'slic', .* or a function"),
    "number": ({"method": "felzenszwalb", "scale": 0}, "scale is 0; give a number above 0"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_options_that_make_no_sense(what) -> None:
    options, words = REFUSED[what]
    with pytest.raises(OptionError, match=f"Segments: {words}"):
        ox.Segments(**options)


NONE: dict[str, tuple[Any, tuple[int, ...], str]] = {
    "one colour": (ox.Segments(method="felzenszwalb"), (2, 2, 8, 8), "sample 0 of 'x' is one segment u"),
    "one piece": (ox.Segments(1, method="grid"), (2, 2, 8, 8), "sample 0 of 'x' is one segment under grid"),
    "nothing changes": ("changes", (2, 8), "sample 0 of 'x' is one segment under changes"),
    "nobody": (lambda image: np.full(image.shape[:2], -1), (2, 2, 8, 8), "is without segments under"),
    "an image's changes": ("changes", (2, 2, 8, 8), r"shape \(2, 8, 8\).*changes makes them of series"),
    "a table's colours": ("slic", (2, 8), r"shape \(8,\), which have no segments: slic makes.* and volumes"),
    "a volume's colours": ("quickshift", (2, 2, 8, 8, 8), r"quickshift makes them of images"),
    "no such axis": (ox.Segments(method="grid", axes=7), (2, 2, 8), "axis 7 of 'x' cannot be meant"),
    "nobody at all": (np.array(-1), (2, 8), "feature_mask of 'x' is -1 everywhere, so nobody plays"),
}  # fmt: skip


@pytest.mark.parametrize("what", NONE)
def test_what_has_no_segments_is_refused(what, models) -> None:
    given, shape, words = NONE[what]
    axes = ", ".join(["N", *map(str, shape[1:])])
    model = models.make(
        f"m (float[{axes}] x) => (float[N, 1] y) {{ f = Flatten(x) y = ReduceSum<keepdims = 1>(f, a) }}",
        a=np.array([1]),
    )
    with pytest.raises(DataInputError, match=words):
        ox.explain(model, np.ones(shape, np.float32), method="feature_ablation", feature_mask=given)

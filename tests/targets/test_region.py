"""Regions of maps: the sum of a class's scores over a mask, wherever classes and samples lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import TargetError
from onnxplain.report.wording import target_text

#: Walks, paths, noise, and what only runs forward.
METHODS = ["integrated_gradients", "lrp", "deep_lift", "feature_ablation", "smooth_grad"]
LAYOUTS = {"NCHW": "", "NHWC": "0, 2, 3, 1", "CNHW": "1, 0, 2, 3", "NHCW": "0, 2, 1, 3"}


def segmenter(models, layout: str = "NCHW", end: str = "Identity", classes: int = 3):
    """(N, 2, 4, 5) to scores of 3 classes at (4, 5) places."""
    moved = f"Transpose<perm = [{LAYOUTS[layout]}]>(t)" if LAYOUTS[layout] else "Identity(t)"
    return models.make(
        f"""m (float[N, 2, 4, 5] x) => (float[A, B, C, D] y) {{
          c = Conv<pads = [1, 1, 1, 1]>(x, w) t = Tanh(c) s = {moved} y = {end}(s)
        }}""",
        w=models.random(classes, 2, 3, 3, seed=1),
    )


def masks(n: int) -> np.ndarray:
    found = np.random.default_rng(3).random((n, 4, 5)) < 0.4
    found[:, 1, 2] = True
    return found


def by_places(explainer, x: np.ndarray, mask: np.ndarray, class_: int, index, method) -> tuple[Any, Any]:
    """One sample's values and score, place by place; a mask of weights counts them."""
    values, score = np.zeros(x.shape), 0.0
    for h, w in zip(*np.nonzero(mask), strict=True):
        one = explainer(x[None], index(class_, int(h), int(w)), method)
        values += mask[h, w] * one.values[0]
        score += mask[h, w] * float(one.score[0])
    return values, score


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_region_is_the_sum_of_its_places(layout, models) -> None:
    explainer = ox.Explainer(segmenter(models, layout))
    x, chosen = models.random(3, 2, 4, 5, seed=2), [2, 0, 1]
    index = {
        "NCHW": lambda c, h, w: (c, h, w), "NHWC": lambda c, h, w: (h, w, c),
        "CNHW": lambda c, h, w: (c, h, w), "NHCW": lambda c, h, w: (h, c, w),
    }[layout]  # fmt: skip
    axis = {"axis": 2} if layout == "NHCW" else {}
    method = ox.Saliency(abs=False)
    found = explainer(x, ox.Region(masks(3), chosen, **axis), method)
    for k in range(3):
        values, score = by_places(explainer, x[k], masks(3)[k] * 1.0, chosen[k], index, method)
        np.testing.assert_allclose(found.values[k], values, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.score[k], score, rtol=1e-4)
        alone = explainer(x[k : k + 1], ox.Region(masks(3)[k], chosen[k], **axis), method)
        np.testing.assert_allclose(found.values[k], alone.values[0], rtol=1e-5, atol=1e-6)
    assert found.target.shape == (
        3,
        *np.moveaxis(found.predictions, 1 if layout == "CNHW" else 0, 0).shape[1:],
    )


def test_a_mask_of_weights(models) -> None:
    explainer = ox.Explainer(segmenter(models))
    x = models.random(2, 2, 4, 5, seed=2)
    mask = masks(1)[0] * np.arange(20).reshape(4, 5) / 7
    found = explainer(x, ox.Region(mask, -1), ox.InputXGradient())
    for k in range(2):
        values, score = by_places(explainer, x[k], mask, 2, lambda c, h, w: (c, h, w), ox.InputXGradient())
        np.testing.assert_allclose(found.values[k], values, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.score[k], score, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_before_a_softmax(method, models) -> None:
    """Of probabilities, the scores before them, unless it is said otherwise."""
    x, region = models.random(2, 2, 4, 5, seed=2), ox.Region(masks(2), [1, 2])
    closed = ox.Explainer(segmenter(models, end="Softmax<axis = 1>"))
    scores = ox.explain(segmenter(models), x, region, method=method)
    found = closed(x, region, method)
    np.testing.assert_allclose(found.values, scores.values, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.score, scores.score, rtol=1e-4)
    through = closed(x, region, method, through_softmax=True)
    likely = (through.predictions * through.target).sum((1, 2, 3))
    np.testing.assert_allclose(through.score, likely, rtol=1e-4)
    if method == "integrated_gradients":
        assert found.relative_delta.max() < 1e-2


def test_one_class(models) -> None:
    x, mask = models.random(2, 2, 4, 5, seed=2), masks(1)[0]
    explainer = ox.Explainer(segmenter(models, classes=1))
    found = [
        explainer(x, ox.Region(m, c), "ig").values for m, c in ((mask, None), (mask, 0), (mask[None], None))
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)
    one = ox.Explainer(segmenter(models, classes=1))(x[:1], ox.Region(mask[None]), "ig")
    np.testing.assert_allclose(one.values[0], found[0][0], rtol=1e-5, atol=1e-6)
    plain = models.make("m (float[N, 4, 5] x) => (float[N, 4, 5] y) { y = Tanh(x) }")
    y = ox.explain(plain, x[:, 0], ox.Region(mask), method=ox.Saliency(abs=False)).values
    np.testing.assert_allclose(y, mask * (1 - np.tanh(x[:, 0]) ** 2), rtol=1e-5, atol=1e-7)
    with pytest.raises(
        TargetError, match=r"as the mask of the Region has, so there is one class; leave class_"
    ):
        ox.explain(plain, x[:, 0], ox.Region(mask, 1))


#: What: (region, words)
WRONG: dict[str, tuple[Any, str]] = {
    "shape": (ox.Region(np.ones((5, 4)), 1), r"\(3, 4, 5\) per sample, .* shape \(5, 4\); give .* \(4, 5\) "),
    "number of masks": (ox.Region(np.ones((3, 4, 5)), 1), r"as the mask of the Region has.*leave class_ out"),
    "no class": (ox.Region(np.ones((4, 5))), r"with 3 classes; say which one with class_="),
    "class": (ox.Region(np.ones((4, 5)), 3), r"class_ 3 is out of range: output 'y' has shape \(3, 4, 5\)"),
    "classes": (ox.Region(np.ones((4, 5)), [0, 1, 2]), r"class_ is \[0, 1, 2\]; give .* 0 to 2, .* \(2\)"),
    "class of floats": (ox.Region(np.ones((4, 5)), 1.0), r"class_ is 1.0; give an index"),
    "empty": (ox.Region(masks(2) * [[[1]], [[0]]], 1), r"the mask of sample 1 is empty"),
    "text": (ox.Region("all", 1), r"the mask of a Region must be finite numbers, not 'all'"),
    "axis": (ox.Region(np.ones((4, 5)), 1, axis=4), r"axis 4 of output 'y' cannot be meant: it has 4 axes"),
    "batch axis": (ox.Region(np.ones((4, 5)), 1, axis=0), r"axis 0 of output 'y' .* samples lie along it"),
    "kind of axis": (ox.Region(np.ones((4, 5)), 1, axis="C"), r"Region: axis is 'C'; give a whole number"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_refused(what, models) -> None:
    region, words = WRONG[what]
    with pytest.raises(TargetError, match=words):
        ox.explain(segmenter(models), models.random(2, 2, 4, 5), region)


def test_classes_that_may_lie_along_either_axis(models) -> None:
    cube = models.make("m (float[N, 3, 3, 3] x) => (float[N, 3, 3, 3] y) { y = Tanh(x) }")
    x, mask = models.random(2, 3, 3, 3), np.eye(3)
    with pytest.raises(TargetError, match=r"mask of shape \(3, 3\) fits it in several ways; say with axis="):
        ox.explain(cube, x, ox.Region(mask, 1))
    first, last = (ox.explain(cube, x, ox.Region(mask, 1, axis=k), method="lrp").target for k in (1, -1))
    np.testing.assert_array_equal(first[:, 1], np.stack([mask, mask]))
    np.testing.assert_array_equal(last[..., 1], np.stack([mask, mask]))
    assert first.sum() == last.sum() == 6


@pytest.mark.parametrize("ending", ["npz", "json"])
def test_results_say_and_keep_what_was_explained(ending, models, tmp_path) -> None:
    region = ox.Region(masks(2), [1, 0])
    found = ox.explain(segmenter(models), models.random(2, 2, 4, 5), region)
    said = f"a weighted sum of {masks(2)[1].sum()} of 60 scores"
    assert target_text(found, 1) == said
    found.save(tmp_path / f"why.{ending}")
    again = ox.Attribution.load(tmp_path / f"why.{ending}")
    np.testing.assert_array_equal(again.target, found.target)
    assert again.target.dtype == np.float32
    assert target_text(again, 1) == said
    np.testing.assert_array_equal(again.target[0, 1], masks(2)[0])
    from onnxplain.report.sections import sample_section

    section = sample_section([found], 1, title="Regions")
    assert [group.title for group in section.groups] == [f"Explained score: {said}"]
    assert found.plot(1).axes

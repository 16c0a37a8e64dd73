"""Detections: the scores of the boxes that overlap one, in every form in which detectors give boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from detector_models import BOXES, WANTED, columns, detector, overlapping, share

import onnxplain as ox
from onnxplain.errors import TargetError

METHOD = ox.Saliency(abs=False)
#: Walks, paths, noise, and what only runs forward.
METHODS = ["integrated_gradients", "lrp", "deep_lift", "feature_ablation", "smooth_grad"]


@pytest.mark.parametrize("form", ["xyxy", "cxcywh", "yxyx"])
@pytest.mark.parametrize("turned", [False, True])
def test_boxes_in_another_output(form, turned, models) -> None:
    scores = "Transpose<perm = [0, 2, 1]>(s)" if turned else "Identity(s)"
    # as many classes as boxes would have a place in both axes: 4 boxes, 3 classes
    explainer = ox.Explainer(detector(models, form, scores=scores))
    x, chosen = models.random(3, 6, seed=4), [2, 0, 1]
    wanted = np.array([WANTED, [0, 1, 11, 11], [20, 20, 30, 40]])
    target = ox.Detection(wanted, chosen, iou=0.6, coordinates=form)
    found = explainer(x, target, METHOD)
    held = explainer.predict(x)["boxes"]
    counts = []
    for k in range(3):
        near = overlapping(held[k], wanted[k], 0.6, form)
        counts.append(len(near))
        index = [(chosen[k], b) if turned else (b, chosen[k]) for b in near]
        parts = [explainer(x[k : k + 1], at, METHOD) for at in index]
        np.testing.assert_allclose(found.values[k], sum(p.values[0] for p in parts), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.score[k], sum(p.score[0] for p in parts), rtol=1e-5)
        one = ox.Detection(tuple(wanted[k]), chosen[k], iou=0.6, coordinates=form, boxes="boxes")
        alone = explainer(x[k : k + 1], one, METHOD)
        np.testing.assert_allclose(found.values[k], alone.values[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(found.target[k], alone.target[0])
    assert counts[0] > 1, "the test sees several boxes"
    assert counts[2] == 1


@pytest.mark.parametrize("form", ["xyxy", "cxcywh"])
@pytest.mark.parametrize("sure", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_boxes_in_columns(form, sure, turned, models) -> None:
    explainer = ox.Explainer(columns(models, form, sure=sure, turned=turned))
    x, chosen = models.random(2, 6, seed=4), [1, 0]
    options = {"coordinates": form, "objectness": sure} | ({"axis": 1 if turned else 2} if sure else {})
    found = explainer(x, ox.Detection(WANTED, chosen, iou=0.5, **options), METHOD)
    held = explainer.predict(x)["y"]
    held = held.transpose(0, 2, 1) if turned else held
    for k in range(2):
        near = overlapping(held[k, :, :4], WANTED, 0.5, form)
        assert len(near) > 1, "the test sees several boxes"
        column = chosen[k] + (5 if sure else 4)
        values, score = 0, 0
        for b in near:
            one = explainer(x[k : k + 1], (column, b) if turned else (b, column), METHOD)
            weight = held[k, b, 4] if sure else 1
            values, score = values + weight * one.values[0], score + weight * held[k, b, column]
        np.testing.assert_allclose(found.values[k], values, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(found.score[k], score, rtol=1e-5)
        alone = explainer(x[k : k + 1], ox.Detection(WANTED, chosen[k], iou=0.5, **options), METHOD)
        np.testing.assert_allclose(found.values[k], alone.values[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_weights_stay_as_they_are_at_the_input(method, models) -> None:
    """However far a method moves the input, the boxes of the given one count."""
    explainer = ox.Explainer(detector(models))
    x = models.random(2, 6, seed=4)
    found = explainer(x, ox.Detection(WANTED, 1), method)
    same = explainer(x, ox.Weights(found.target), method)
    np.testing.assert_array_equal(found.values, same.values)
    np.testing.assert_allclose(found.score, (found.predictions * found.target).sum((1, 2)), rtol=1e-5)


def test_before_a_softmax(models) -> None:
    x, target = models.random(2, 6, seed=4), ox.Detection(WANTED, 1)
    closed = ox.explain(detector(models, scores="Softmax<axis = 2>(s)"), x, target, method="ig")
    plain = ox.explain(detector(models), x, target, method="ig")
    np.testing.assert_allclose(closed.values, plain.values, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(closed.score, plain.score, rtol=1e-5)


def test_boxes_with_an_axis_between(models) -> None:
    """(N, B, 1, 4), as some exports of YOLO have them."""
    proto = detector(models, boxes="Unsqueeze(b, last)")
    proto.graph.output[1].CopyFrom(
        models.make("m (float[N, 4, 1, 4] x) => (float[N, 4, 1, 4] boxes) { boxes = Abs(x) }").graph.output[0]
    )
    x = models.random(2, 6, seed=4)
    found = ox.explain(proto, x, ox.Detection(WANTED, 1), method=METHOD)
    plain = ox.explain(detector(models), x, ox.Detection(WANTED, 1), method=METHOD)
    np.testing.assert_array_equal(found.target, plain.target)


def test_anchors_and_scores_of_one_class(models) -> None:
    """Boxes that are the same for all samples; scores without an axis of classes."""
    proto = models.make(
        """m (float[N, 6] x) => (float[N, 4] y, float[4, 4] boxes) {
          a = MatMul(x, w) y = Tanh(a) boxes = Identity(corners)
        }""",
        w=models.random(6, 4, seed=1), corners=BOXES,
    )  # fmt: skip
    x = models.random(3, 6, seed=4)
    found = ox.explain(proto, x, ox.Detection(WANTED), method=METHOD)
    near = [float(share(b, WANTED) >= 0.5) for b in BOXES]
    np.testing.assert_array_equal(found.target, [near] * 3)
    assert sum(near) == 3


def test_a_model_of_one_image(models) -> None:
    """Without an axis of samples."""
    proto = models.make(
        """m (float[6] x) => (float[4, 3] y, float[4, 4] boxes) {
          a = MatMul(x, w) t = Tanh(a) y = Reshape(t, to_scores)
          m = MatMul(x, u) r = Reshape(m, to_boxes) boxes = Add(r, corners)
        }""",
        w=models.random(6, 12, seed=1), u=models.random(6, 16, seed=2, scale=0.3),
        to_scores=np.array([4, 3]), to_boxes=np.array([4, 4]), corners=BOXES,
    )  # fmt: skip
    x = models.random(1, 6, seed=4)
    one = ox.explain(proto, x[0], ox.Detection(WANTED, 1), method=METHOD)
    plain = ox.explain(detector(models), x, ox.Detection(WANTED, 1), method=METHOD)
    np.testing.assert_array_equal(one.target, plain.target)
    np.testing.assert_allclose(one.values, plain.values[0], rtol=1e-5, atol=1e-6)


def test_one_box(models) -> None:
    """Scores (N, C) of a single box (N, 4)."""
    proto = models.make(
        """m (float[N, 6] x) => (float[N, 3] y, float[N, 4] boxes) {
          a = MatMul(x, w) y = Tanh(a) m = MatMul(x, u) boxes = Add(m, corners)
        }""",
        w=models.random(6, 3, seed=1), u=models.random(6, 4, seed=2, scale=0.3), corners=BOXES[:1],
    )  # fmt: skip
    x = models.random(2, 6, seed=4)
    explainer = ox.Explainer(proto)
    found, plain = explainer(x, ox.Detection(WANTED, [2, 0]), METHOD), explainer(x, [2, 0], METHOD)
    np.testing.assert_allclose(found.values, plain.values, rtol=1e-6)
    with pytest.raises(TargetError, match=r"no box of sample 0 overlaps .*the best IoU is 0, of \("):
        explainer(x, ox.Detection([50, 50, 60, 60], 1))


#: What: (options of Detection, words), for scores (4, 3) and boxes (4, 4).
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing there": ({"box": (40, 40, 50, 50)}, r"no box of sample 0 overlaps .* 0.5: the best IoU is 0, "),
    "too much asked": ({"iou": 0.999}, r"0.999: the best IoU is 0\.\d+, of .*xyxy.*'boxes'.*smaller"),
    "shape": ({"box": (1, 2, 3)}, r"the box of a Detection has shape \(3,\); give .*, or an array \(2, 4\)"),
    "empty": ({"box": (10, 0, 0, 10)}, r"the box of a Detection is empty \(\[10.0, 0.0, 0.0, 10.0\]\)"),
    "text": ({"box": "left"}, r"the box of a Detection must be finite numbers, not 'left'"),
    "class": ({"class_": 3}, r"class_ 3 is out of range: output 'scores' has shape \(4, 3\) per sample, w"),
    "no class": ({"class_": None}, r"with 3 classes; say which one with class_="),
    "boxes": ({"boxes": "boxen"}, r"boxes='boxen': the model has no such output; it has scores, boxes"),
    "objectness": ({"objectness": True}, r"objectness is a column beside boxes, but these are in .* 'boxes'"),
    "axis of boxes": ({"axis": 1}, r"'scores' has shape \(4, 3\) per sample, and 'boxes' has 4 boxes;"),
    "own columns": ({"boxes": "scores"}, r"'scores' has shape \(4, 3\) per sample, so it has no 5 columns"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_refused(what, models) -> None:
    options, words = WRONG[what]
    given = {"box": WANTED, "class_": 1} | options
    with pytest.raises(TargetError, match=words):
        ox.explain(detector(models), models.random(2, 6, seed=4), ox.Detection(**given))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"iou": 0}, "Detection: iou is 0; give a number above 0, up to 1"),
        ({"coordinates": "xywh"}, "Detection: coordinates is 'xywh'; give 'xyxy', 'cxcywh' or 'yxyx'"),
        ({"objectness": 1}, "Detection: objectness is 1; give True or False"),
        ({"axis": "C"}, "Detection: axis is 'C'; give a whole number or None"),
    ],
)
def test_options(options, words) -> None:
    with pytest.raises(TargetError, match=words):
        ox.Detection(WANTED, 1, **options)


def test_what_may_be_meant_in_two_ways(models) -> None:
    x = models.random(2, 6, seed=4)
    square = columns(models, sure=True)  # 7 boxes of 7 columns
    with pytest.raises(
        TargetError, match=r"'y' has shape \(7, 7\) per sample; say with axis= .* columns lie"
    ):
        ox.explain(square, x, ox.Detection(WANTED, 1, objectness=True))
    with pytest.raises(
        TargetError, match=r"the fifth column of output 'y' goes from -.* no objectness from 0 to 1"
    ):
        ox.explain(columns(models), x, ox.Detection(WANTED, 0, objectness=True))
    twice = models.make(
        """m (float[N, 16] x) => (float[N, 4, 4] y, float[N, 4, 4] a, float[N, 4, 4] b) {
          y = Reshape(x, s) a = Add(y, corners) b = Sub(corners, y)
        }""",
        s=np.array([-1, 4, 4]), corners=BOXES,
    )  # fmt: skip
    x = models.random(2, 16, seed=4, scale=0.1)
    with pytest.raises(TargetError, match="boxes may be in any of a, b; say in which with boxes="):
        ox.explain(twice, x, ox.Detection(WANTED, 1))
    with pytest.raises(TargetError, match=r"there are 4 boxes in 'b'; say with axis= .* classes lie"):
        ox.explain(twice, x, ox.Detection(WANTED, 1, boxes="b"))
    for axis, index in ((1, (slice(None), 1, 0)), (2, (slice(None), 0, 1))):
        found = ox.explain(twice, x, ox.Detection(WANTED, 1, boxes="b", axis=axis), method="lrp")
        assert found.target[index].all()
        assert found.target.sum() == 6


@pytest.mark.parametrize("n", [1, 3])
def test_a_fixed_batch(n, models) -> None:
    """Samples that run one by one have boxes of their own."""
    fixed = detector(models)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    for output in fixed.graph.output:
        output.type.tensor_type.shape.dim[0].dim_value = 1
    x, target = models.random(n, 6, seed=4), ox.Detection(WANTED, 1, iou=0.75)
    found, free = (ox.explain(model, x, target, method=METHOD) for model in (fixed, detector(models)))
    np.testing.assert_array_equal(found.target, free.target)
    np.testing.assert_allclose(found.values, free.values, rtol=1e-5, atol=1e-6)
    if n > 1:
        assert any("fixed number of samples" in note for note in found.notes)
        assert len({each.sum() for each in found.target}) > 1, "the samples' boxes differ"

"""D-RISE against its formula, in every form in which detectors give boxes."""

from __future__ import annotations

import numpy as np
import pytest
from detector_models import WANTED, columns, corners, detector, overlapping, share

import onnxplain as ox
from onnxplain.kernels.uniform import uniforms


def likeness(boxes, scores, sure, wanted, reference, form) -> float:
    found = [
        share(corners(box, form), wanted)
        * (p @ reference)
        / (np.linalg.norm(p) * np.linalg.norm(reference))
        * o
        for box, p, o in zip(boxes, scores, sure, strict=True)
    ]
    return max(found)


@pytest.mark.parametrize("form", ["xyxy", "yxyx", "cxcywh"])
@pytest.mark.parametrize("kind", ["apart", "columns", "sure", "turned"])
def test_the_formula(kind, form, models) -> None:
    x = models.random(2, 6, seed=5, scale=0.3)
    model = (
        detector(models, form)
        if kind == "apart"
        else columns(models, form, sure=kind == "sure", turned=kind == "turned")
    )
    explainer = ox.Explainer(model)
    axis = 2 if kind == "sure" else None  # 7 boxes of 7 columns
    target = ox.Detection(WANTED, 1, coordinates=form, objectness=kind == "sure", axis=axis)

    def read(rows):
        said = explainer.predict(rows)
        if kind == "apart":
            return said["boxes"], said["scores"], np.ones(said["boxes"].shape[:2])
        y = said["y"].transpose(0, 2, 1) if kind == "turned" else said["y"]
        sure = y[..., 4] if kind == "sure" else np.ones(y.shape[:2])
        return y[..., :4], y[..., 5 if kind == "sure" else 4 :], sure

    method = ox.DRISE(n_masks=50, p_keep=0.6, contrast=False, seed=3)
    output = {"output": "scores"} if kind == "apart" else {}
    found = explainer(x, target, method, feature_mask="elements", **output)
    masks = uniforms(3, 0, 0, 50, 6) < 0.6
    boxes, scores, sure = read(x)
    for row in range(2):
        near = overlapping(boxes[row], WANTED, 0.5, form)
        best = max(near, key=lambda k, row=row: scores[row, k, 1] * sure[row, k])
        wanted = corners(boxes[row, best], form)
        np.testing.assert_allclose(found.extras["detection"][row], wanted, rtol=1e-5)
        values = [
            likeness(*(a[0] for a in read((x[row] * m)[None])), wanted, scores[row, best], form)
            for m in masks
        ]
        expected = np.mean(np.array(values)[:, None] * masks, 0) / 0.6
        np.testing.assert_allclose(found.values[row], expected, rtol=1e-4)


def test_soft_masks_blocks_and_samples_alone(models) -> None:
    explainer, x = ox.Explainer(detector(models)), models.random(3, 6, seed=5, scale=0.3)
    method, target = ox.DRISE(n_masks=80), ox.Detection(WANTED, 2)
    found = explainer(x, target, method, output="scores")
    assert found.values.any()
    assert found.extras["standard_error"]["x"].shape == (3, 6)
    blocks = explainer(x, target, method, output="scores", internal_batch_size=7)
    np.testing.assert_allclose(blocks.values, found.values, rtol=1e-4, atol=1e-6)
    for k in range(3):
        alone = explainer(x[k : k + 1], target, method, output="scores")
        np.testing.assert_allclose(alone.values[0], found.values[k], rtol=1e-4, atol=1e-6)


def test_other_targets_are_refused(models) -> None:
    with pytest.raises(ox.errors.MethodError, match=r"give the target as ox\.Detection.*use rise"):
        ox.explain(detector(models), models.random(1, 6), (0, 1), "d_rise", output="scores")

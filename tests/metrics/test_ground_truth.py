"""What makes ground truth: boxes and mosaics."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError, OptionError

M = ox.metrics


def test_boxes() -> None:
    masks = M.boxes_to_masks([[0, 0, 2, 1], [6.5, 1, 20, 3]], (4, 8))
    assert masks.shape == (2, 4, 8)
    expected = np.zeros((2, 4, 8), bool)
    expected[0, 0, :2] = expected[1, 1:3, 6:] = True
    np.testing.assert_array_equal(masks, expected | (np.arange(8) == 99))
    turned = M.boxes_to_masks(np.array([[0, 0, 1, 2], [1, 6.5, 3, 20]]), (4, 8), coordinates="yxyx")
    middle = M.boxes_to_masks([[1, 0.5, 2, 1], [13.25, 2, 13.5, 2]], (4, 8), coordinates="cxcywh")
    np.testing.assert_array_equal(turned, expected)
    np.testing.assert_array_equal(middle, expected)
    several = M.boxes_to_masks([[[0, 0, 2, 1], [6.5, 1, 20, 3]], np.zeros((0, 4))], (4, 8))
    np.testing.assert_array_equal(several[0], expected.any(0))
    assert not several[1].any()


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        ([[2, 2, 1, 3]], "holds no pixel of 4 rows and 8 columns"),
        ([[0, 0, 2, 1], [8, 0, 9, 2]], r"from \(8, 0\) to \(9, 2\) of sample 1"),
        ([[0, 0, np.nan, 1]], "holds no pixel"),
        ([[0, 0, 2]], r"boxes of sample 0 have shape \(3,\)"),
        ([["a", "b", "c", "d"]], "boxes of sample 0"),
    ],
)
def test_what_is_no_box(boxes, words) -> None:
    with pytest.raises(DataInputError, match=words):
        M.boxes_to_masks(boxes, (4, 8))
    with pytest.raises(OptionError, match="coordinates"):
        M.boxes_to_masks([[0, 0, 1, 1]], (4, 8), coordinates="xywh")
    with pytest.raises(OptionError, match="size"):
        M.boxes_to_masks([[0, 0, 1, 1]], (4, 8, 3))


@pytest.mark.parametrize("shape", [(4, 6), (3, 4, 6), (4, 6, 3)])
def test_mosaics(shape) -> None:
    labels = np.repeat([2, 5, 7], [3, 4, 2])
    images = np.arange(9.0).reshape(9, *(1,) * len(shape)) + np.zeros(shape)
    found = M.mosaics(images, labels, 5, seed=4)
    channels = 2 if shape[-1] == 3 else 0
    plain = found.images if len(shape) == 2 else found.images.take(0, axis=channels + 1)
    assert plain.shape == (15, 8, 12)
    assert found.masks.shape == found.images.take([0], axis=channels + 1).shape or len(shape) == 2
    masks = found.masks.reshape(15, 8, 12)
    np.testing.assert_array_equal(found.target, np.repeat([2, 5, 7], 5))
    for m in range(15):
        for k, (rows, columns) in enumerate(
            [(r, c) for r in (slice(4), slice(4, 8)) for c in (slice(6), slice(6, 12))]
        ):
            which = plain[m, rows, columns]
            assert (which == found.indices[m, k]).all()
            assert found.labels[m, k] == labels[found.indices[m, k]]
            assert (masks[m, rows, columns] == (found.labels[m, k] == found.target[m])).all()
    assert (found.positions.sum(1) == 2).all()
    used = found.indices[:5][found.positions[:5]]  # of three images ten are taken
    assert sorted(np.bincount(used, minlength=3).tolist()) in ([2, 4, 4], [3, 3, 4])
    np.testing.assert_array_equal(found.indices, M.mosaics(images, labels, 5, seed=4).indices)
    assert not np.array_equal(found.indices, M.mosaics(images, labels, 5, seed=5).indices)


def test_what_makes_no_mosaic() -> None:
    images = np.zeros((4, 3, 5, 5))
    for given, labels, words in (
        (images, [1, 1, 1, 1], "all images are of one class"),
        (images, [1, 2], "there are 4 images"),
        (images[0, 0], [1] * 5, "images have the shape"),
    ):
        with pytest.raises(DataInputError, match=words):
            M.mosaics(given, labels, 2)
    with pytest.raises(OptionError, match="mosaics_per_class"):
        M.mosaics(images, [1, 2, 1, 2], 0)
    with pytest.raises(DataInputError, match="give four for each mosaic"):
        M.quadrants([1, 0, 1, 0], (4, 4))


def test_focus_of_mosaics(models) -> None:
    """A score that adds up the bright ones among images: brightness lies where the target's images are."""
    images = np.zeros((8, 1, 4, 4), np.float32)
    images[4:] = np.random.default_rng(0).uniform(0.1, 1, (4, 1, 4, 4))
    made = M.mosaics(images, [0] * 4 + [1] * 4, 3, seed=1)
    model = models.make(
        "m (float[N, 1, 8, 8] x) => (float[N, 2] y) { f = Flatten(x) y = MatMul(f, w) }",
        w=np.ones((64, 2), np.float32),
    )
    found = M.Focus()(ox.Explainer(model), made.images, made.target, "input_x_gradient", masks=made.masks)
    np.testing.assert_allclose(found.values, [0, 0, 0, 1, 1, 1])

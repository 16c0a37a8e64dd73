"""Gaps in images, filled from around them: beside a dense system, and where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.features.neighbours import filled


def dense(image: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """The same by one loop over places and neighbours."""
    height, width, _ = image.shape
    where = [tuple(p) for p in np.argwhere(gone)]
    left, right = np.zeros((len(where), len(where))), np.zeros((len(where), image.shape[2]))
    for i, (y, x) in enumerate(where):
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                near = y + dy, x + dx
                if (dy or dx) and 0 <= near[0] < height and 0 <= near[1] < width:
                    weight = 1 / 12 if dy and dx else 1 / 6
                    left[i, i] += weight
                    if near in where:
                        left[i, where.index(near)] -= weight
                    else:
                        right[i] += weight * image[near].astype(float)
    made = image.astype(float)
    made[gone] = np.linalg.solve(left, right)
    return made


@pytest.mark.parametrize("share", [0.1, 0.6, 0.98])
def test_each_place_is_the_mean_of_its_neighbours(share) -> None:
    rng = np.random.default_rng(0)
    image = rng.standard_normal((9, 7, 3)).astype(np.float32)
    gone = rng.permutation(63).reshape(9, 7) < 63 * share
    found = filled(image, gone)
    np.testing.assert_allclose(found, dense(image, gone), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found[~gone], image[~gone])
    assert found.min() >= image.min(), "a mean of what is there"
    assert found.max() <= image.max()


def test_a_slope_goes_on() -> None:
    """A plane is its own mean at every place but those at the border."""
    plane = np.add.outer(np.arange(8.0), 3 * np.arange(6.0))[..., None]
    gone = np.zeros((8, 6), bool)
    gone[1:-1, 1:-1] = True
    np.testing.assert_allclose(filled(plane, gone), plane, rtol=1e-12)


def test_nothing_is_gone_and_one_place_is_left() -> None:
    image = np.arange(12, dtype=np.float32).reshape(3, 4, 1)
    np.testing.assert_array_equal(filled(image, np.zeros((3, 4), bool)), image)
    gone = np.ones((3, 4), bool)
    gone[1, 2] = False
    np.testing.assert_allclose(filled(image, gone), np.full((3, 4, 1), image[1, 2]), rtol=1e-9)

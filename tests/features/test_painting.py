"""Pictures from free numbers: their way back is the slope of their way out."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.features.painting import Colours, Frequencies, mixed


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((2, 3, 6, 8), (2, 3)), ((1, 5, 7, 3), (1, 2)), ((1, 2, 9), (2,)), ((1, 4, 5, 6, 1), (1, 2, 3))],
)
def test_the_way_back_is_the_transpose(shape, axes) -> None:
    made = Frequencies(shape, axes)
    numbers = made.start(0)
    rng = np.random.default_rng(1)
    direction, gradient = rng.standard_normal(numbers.shape), rng.standard_normal(shape)
    out = made.picture(direction)
    assert out.shape == shape
    np.testing.assert_allclose((out * gradient).sum(), (direction * made.back(gradient)).sum(), rtol=1e-10)


def test_the_first_picture_is_the_same_for_all_and_nearly_grey() -> None:
    numbers = Frequencies((3, 2, 16, 16), (2, 3)).start(5)
    assert (numbers == numbers[:1]).all()
    picture = Frequencies((3, 2, 16, 16), (2, 3)).picture(numbers)
    assert 0 < np.abs(picture).max() < 0.5


def test_long_waves_weigh_more() -> None:
    made = Frequencies((1, 32), (1,))
    numbers = np.zeros((1, 17, 2))
    sizes = []
    for k in (1, 8):
        one = numbers.copy()
        one[0, k, 0] = 1
        sizes.append(float(np.abs(made.picture(one)).max()))
    np.testing.assert_allclose(sizes[0] / sizes[1], 8)


@pytest.mark.parametrize("within", [(None, None), (0.0, 1.0), (-2.0, 5.0)])
@pytest.mark.parametrize("channels", [None, 1])
def test_the_slope_of_colours(within, channels) -> None:
    rng = np.random.default_rng(0)
    made = Colours(*within, channels)
    free, gradient, direction = rng.standard_normal((3, 2, 3, 4))
    pixels = made.pixels(free)
    if within[0] is not None:
        assert pixels.min() > within[0]
        assert pixels.max() < within[1]
    ends = [made.pixels(free + step * direction) for step in (1e-6, -1e-6)]
    known = ((ends[0] - ends[1]) / 2e-6 * gradient).sum()
    np.testing.assert_allclose((made.back(pixels, gradient) * direction).sum(), known, rtol=1e-6)


def test_mixing_is_a_product_along_an_axis() -> None:
    rng = np.random.default_rng(0)
    values, matrix = rng.random((2, 3, 5)), rng.random((3, 3))
    np.testing.assert_allclose(mixed(values, matrix, 1), np.einsum("ij,njl->nil", matrix, values))

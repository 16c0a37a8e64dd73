"""Heatmaps: layouts agree, the display keeps colours, and bare PNGs have the promised size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from onnxplain.plots.image import flat, image_png, original, overlay

RNG = np.random.default_rng(1)


def test_layouts_give_the_same_picture() -> None:
    values, sample = RNG.normal(size=(3, 6, 7)), RNG.uniform(size=(3, 6, 7))
    np.testing.assert_allclose(flat(values), flat(values.transpose(1, 2, 0)))
    np.testing.assert_allclose(flat(values), values.sum(axis=0))
    np.testing.assert_allclose(original(sample), original(sample.transpose(1, 2, 0)))


def test_display_range() -> None:
    unit = RNG.uniform(0.2, 0.8, size=(3, 6, 7))
    np.testing.assert_allclose(original(unit), unit.transpose(1, 2, 0))
    whole = np.round(255 * unit)
    np.testing.assert_allclose(original(whole), whole.transpose(1, 2, 0) / 255)
    shown = original((unit - 0.45) / 0.22)
    assert shown.min() == 0
    assert shown.max() == 1
    assert original(np.full((6, 7), -5.0)).tolist() == np.zeros((6, 7, 3)).tolist()
    assert original(RNG.normal(size=(64, 6, 7))).shape == (6, 7, 3)
    assert original(RNG.uniform(size=(4, 6, 7))).shape == (6, 7, 3)


def test_overlay_shows_grey_where_nothing_speaks() -> None:
    picture = np.broadcast_to(RNG.uniform(size=(5, 5, 1)), (5, 5, 3))
    heat = np.zeros((5, 5))
    heat[2, 2], heat[0, 0] = 1.0, -1.0
    laid = overlay(heat, picture, 1.0)
    grey = heat == 0
    np.testing.assert_allclose(laid[grey], laid[grey][:, :1].repeat(3, axis=1))
    assert laid[2, 2, 0] > laid[2, 2, 2]
    assert laid[0, 0, 2] > laid[0, 0, 0]


@pytest.mark.parametrize(
    ("shape", "size"), [((1, 28, 28), (252, 252)), ((3, 900, 600), (300, 450)), ((300, 200), (200, 300))]
)
def test_bare_png(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    for values in (None, RNG.normal(size=shape)):
        for over in (False, True):
            png = image_png(values, RNG.uniform(size=shape), over=over)
            assert Image.open(io.BytesIO(png)).size == size

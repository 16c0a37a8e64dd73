"""Attributions and masks that users give: which shapes fit, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.data import diabetes_model_path, diabetes_rows
from onnxplain.errors import DataInputError

M = ox.metrics


def test_columns_of_a_table() -> None:
    columns = {k: v[:4] for k, v in diabetes_rows()[0].items()}
    model = ox.Explainer(diabetes_model_path())
    values = {k: np.arange(4.0) + n for n, k in enumerate(columns)}
    masks = {k: np.full(4, k in ("bmi", "sex")) for k in columns}
    found = M.RelevanceMassAccuracy()(model, columns, attributions=values, masks=masks)
    expected = sum(values[k] for k in ("bmi", "sex")) / sum(values.values())
    np.testing.assert_allclose(found.values, expected)
    wide = {k: v[:, None] for k, v in masks.items()}
    np.testing.assert_array_equal(
        M.RelevanceMassAccuracy()(model, columns, attributions=values, masks=wide).values, found.values
    )


def test_maps_of_layers(models) -> None:
    """A layer of six channels, four by four: the graph tells which axis is channels, not the lengths."""
    explainer, x = ox.Explainer(models.conv()), models.random(3, 2, 8, 8)
    masks = np.zeros((3, 4, 4), bool)
    masks[:, 1:3, 1:3] = True
    found = M.AUC()(explainer, x, 0, "saliency", masks=masks, wrt="p1")
    maps = np.abs(explainer(x, 0, "saliency", wrt="p1").values).sum(1)
    inside, outside = maps[:, 1:3, 1:3].reshape(3, -1, 1), maps[~masks].reshape(3, 1, -1)
    expected = ((inside > outside) + (inside == outside) / 2).mean((1, 2))
    np.testing.assert_allclose(found.values, expected)


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (np.full((3, 8, 8), np.nan), "the masks of 'x' hold NaN"),
        (np.zeros((8, 8)), "masks of 'x' have shape"),
        (np.zeros((1, 8, 8)), "masks of 'x' have shape"),
        (np.full((3, 8, 8), "a"), "masks of 'x' must be booleans or numbers"),
        ({"z": np.zeros((3, 8, 8))}, "masks are given of 'z', and not of 'x'"),
    ],
)
def test_masks_that_do_not_fit(masks, words, models) -> None:
    x = models.random(3, 2, 8, 8)
    with pytest.raises(DataInputError, match=words):
        M.AUC()(ox.Explainer(models.conv()), x, 0, attributions=x, masks=masks)

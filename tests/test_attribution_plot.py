"""Drawing one sample of a result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError


@pytest.mark.parametrize("axis", [0, 1, None])
def test_one_sample_is_drawn_wherever_samples_lie(axis, models, monkeypatch) -> None:
    x = models.random(1 if axis is None else 2, 5)
    held = ox.explain(models.mlp(), x, 0, method="saliency")
    turned = held.arrays["x"][0] if axis is None else np.moveaxis(held.arrays["x"], 0, axis)
    held = replace(held, arrays={"x": turned}, inputs={"x": turned}, sample_axes={"x": axis})
    drawn = []
    monkeypatch.setattr("onnxplain.plots.draw", lambda *arrays, **_: drawn.extend(arrays))
    held.plot(len(held) - 1)
    for array in drawn:
        np.testing.assert_array_equal(array, turned if axis is None else np.take(turned, 1, axis))
    with pytest.raises(DataInputError, match=f"no sample {len(held)}; there are {len(held)}"):
        held.plot(len(held))

"""DeepLIFT on operators that only look like others."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox


@pytest.mark.parametrize("kind", ["RandomNormalLike", "RandomUniformLike"])
def test_both_runs_draw_the_same_numbers(kind, models) -> None:
    """What is drawn depends on the shape alone, so it is no part of the difference."""
    model = models.make(
        f"m (float[1, 4] x) => (float[1, 4] y) {{ n = {kind}(x) a = Mul(x, n) y = Add(a, n) }}"
    )
    found = ox.explain(model, models.random(1, 4), 1, method="deep_lift")
    np.testing.assert_allclose(found.delta, 0, atol=1e-5)

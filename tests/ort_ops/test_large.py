"""More than 2^31 elements through an operator; 9 GiB (``pytest -m large tests/ort_ops``)."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.large


def test_a_product_of_a_column_and_a_row(graphs) -> None:
    a = np.arange(33, dtype=np.float32)[:, None]
    b = np.arange(2**26 + 3, dtype=np.float32)[None] % 8191
    found = graphs.run(graphs.fused(["a", "b"], [2, 0, 1, -1]), {"a": a, "b": b})
    assert found.size > 2**31
    for row in (0, 16, 32):
        np.testing.assert_array_equal(found[row], a[row, 0] * b[0])

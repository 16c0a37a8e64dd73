"""Whether numbers are finite, of any size, layout and dtype."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.finite import all_finite


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "bool"])
@pytest.mark.parametrize("size", [1, 2, 3 * 5 * 7, 1 << 14, (1 << 14) + 2])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_number_is_enough_wherever_it_lies(bad, size, dtype) -> None:
    plain = np.arange(size).astype(dtype)
    for array in (
        plain,
        plain[None],
        plain[::-1],
        np.repeat(plain, 2)[::2],
        np.broadcast_to(plain, (2, size)).T,
    ):
        assert all_finite(array)
    if plain.dtype.kind != "f":
        return
    for place in {0, size // 2, size - 1}:
        array = np.ones(size, dtype)
        array[place] = bad
        doubled = np.stack([array, np.ones_like(array)])
        for seen in (array, array[::-1], doubled, doubled.T, doubled[::-1, ::-1], np.asfortranarray(doubled)):
            assert not all_finite(seen)


def test_nothing_is_finite() -> None:
    assert all_finite(np.empty((0, 3), np.float32))

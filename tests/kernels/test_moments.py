from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxplain.kernels import moments

seeds = st.integers(0, 2**31)


@given(seeds, st.integers(1, 4), st.integers(0, 9), st.integers(0, 600), st.sampled_from(["f2", "f4", "f8"]))
@settings(deadline=None, max_examples=60)
def test_powers_equal_numpy(seed, powers, steps, cols, dtype):
    random = np.random.default_rng(seed)
    samples = random.standard_normal((steps, cols, 2)).astype(dtype)
    first, sums = random.standard_normal((cols, 2)), random.standard_normal((powers, cols, 2))
    for squared in (False, True):
        made, twin = sums.copy(), sums.copy()
        moments.add_powers(made, first, samples, squared=squared)
        moments._add_powers(twin, first, samples, squared)
        assert made.tobytes() == twin.tobytes()
        wide = samples.astype(float)
        differences = wide**2 - first**2 if squared else wide - first
        expected = sums + np.stack([(differences ** (k + 1)).sum(0) for k in range(powers)])
        np.testing.assert_allclose(made, expected, rtol=1e-9, atol=1e-9)


def test_large_enough_for_several_threads():
    random = np.random.default_rng(0)
    samples, first = random.standard_normal((5, 100_001)).astype("f4"), random.standard_normal(100_001)
    made, twin = np.zeros((2, 4, 100_001))
    moments.add_powers(made, first, samples)
    moments._add_powers(twin, first, samples, False)
    assert made.tobytes() == twin.tobytes()


def test_differences_are_in_double_precision():
    samples, first = np.array([[1, 2], [3, 4]], np.float16), np.array([1.0, 1e-9])
    assert moments.centred(samples).dtype == np.float64
    np.testing.assert_array_equal(moments.centred(samples, first), [[0, 2 - 1e-9], [2, 4 - 1e-9]])


@pytest.mark.parametrize(
    ("sums", "first", "message"),
    [
        (np.zeros((2, 3), np.float32), np.zeros(3), "sums must be float64"),
        (np.zeros((2, 4)), np.zeros(3), "of the shape"),
        (np.zeros((2, 3)), np.zeros(4), "of the shape"),
        (np.zeros((3, 2)).T, np.zeros(3), "in place"),
        (np.zeros((5, 3)), np.zeros(3), "too many powers"),
    ],
)
def test_refuses(sums, first, message):
    with pytest.raises(ValueError, match=message):
        moments.add_powers(sums, first, np.zeros((1, 3)))

"""The compiled elementwise steps of relevance against NumPy; nothing but these tests calls them."""

from __future__ import annotations

import numpy as np
import pytest
import relevance_kernels
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from relevance_kernels import compiled

from onnxplain.kernels import has_core

pytestmark = pytest.mark.skipif(not has_core(), reason="the compiled module is not there")

# Every kernel with what follows its two arrays.
KERNELS = [
    ("stabilised_divide", (1e-6,)),
    ("stabilised_divide", (0.25,)),
    ("stabilised_divide", (0.0,)),
    ("relu_mask", ()),
    ("guided_mask", ()),
    ("alpha_beta_merge", (2.0, 1.0)),
    ("alpha_beta_merge", (0.1, -0.7)),
]
kernels = pytest.mark.parametrize(("name", "extra"), KERNELS)


@st.composite
def pairs(draw):
    """Two arrays of any values: zeros of both signs, infinities and NaN too."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6))
    return draw(hnp.arrays(dtype, shape)), draw(hnp.arrays(dtype, shape))


def same(result, expected):
    """Whether all values are the same, the sign of zero included; any NaN equals any other."""
    np.testing.assert_array_equal(result, expected, strict=True)
    real = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(result)[real], np.signbit(expected)[real])


@kernels
@given(pair=pairs())
@settings(deadline=None)
def test_equals_numpy(name, extra, pair):
    same(compiled(name, *pair, *extra), getattr(relevance_kernels, name)(*pair, *extra))


@kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_enough_for_several_threads(name, extra, dtype):
    a, b = np.random.default_rng(0).standard_normal((2, 300_001)).astype(dtype)
    same(compiled(name, a, b, *extra), getattr(relevance_kernels, name)(a, b, *extra))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_stabiliser_takes_zero_of_either_sign_for_positive(dtype):
    z = np.array([0.0, -0.0, 1.0, -1.0], dtype)
    result = compiled("stabilised_divide", np.ones(4, dtype), z, 0.5)
    np.testing.assert_array_equal(result, np.array([2, 2, 1 / 1.5, -1 / 1.5], dtype))


def test_masks_by_hand():
    g, y = np.array([1.0, -2.0, 3.0, -4.0, 5.0]), np.array([1.0, 1.0, 0.0, -1.0, np.nan])
    np.testing.assert_array_equal(compiled("relu_mask", g, y), [1, -2, 0, 0, 0])
    np.testing.assert_array_equal(compiled("guided_mask", g, y), [1, 0, 0, 0, 0])


def test_alpha_beta_by_hand():
    pos, neg = np.array([1.0, 2.0]), np.array([3.0, -4.0])
    np.testing.assert_array_equal(compiled("alpha_beta_merge", pos, neg, 2.0, 1.0), [-1, 8])


@kernels
def test_refuses_another_size(name, extra):
    with pytest.raises(ValueError, match="the arrays differ in size"):
        compiled(name, np.zeros(3), np.zeros(2), *extra)

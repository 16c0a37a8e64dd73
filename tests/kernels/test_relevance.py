from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from onnxplain.kernels import built_with_cuda, cuda, cuda_device_count, numpy_kernels, relevance

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
    same(getattr(relevance, name)(*pair, *extra), getattr(numpy_kernels, name)(*pair, *extra))


@kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_enough_for_several_threads(name, extra, dtype):
    a, b = np.random.default_rng(0).standard_normal((2, 300_001)).astype(dtype)
    same(getattr(relevance, name)(a, b, *extra), getattr(numpy_kernels, name)(a, b, *extra))


@kernels
def test_takes_views_and_leaves_them_alone(name, extra):
    a, b = np.random.default_rng(0).standard_normal((2, 8, 6))
    a, b = a.T, b.T[::1]
    before = a.tobytes(), b.tobytes()
    same(getattr(relevance, name)(a, b, *extra), getattr(numpy_kernels, name)(a, b, *extra))
    assert (a.tobytes(), b.tobytes()) == before


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_stabiliser_takes_zero_of_either_sign_for_positive(dtype):
    z = np.array([0.0, -0.0, 1.0, -1.0], dtype)
    result = relevance.stabilised_divide(np.ones(4, dtype), z, 0.5)
    np.testing.assert_array_equal(result, np.array([2, 2, 1 / 1.5, -1 / 1.5], dtype))


def test_masks_by_hand():
    g, y = np.array([1.0, -2.0, 3.0, -4.0, 5.0]), np.array([1.0, 1.0, 0.0, -1.0, np.nan])
    np.testing.assert_array_equal(relevance.relu_mask(g, y), [1, -2, 0, 0, 0])
    np.testing.assert_array_equal(relevance.guided_mask(g, y), [1, 0, 0, 0, 0])


def test_alpha_beta_by_hand():
    pos, neg = np.array([1.0, 2.0]), np.array([3.0, -4.0])
    np.testing.assert_array_equal(relevance.alpha_beta_merge(pos, neg, 2.0, 1.0), [-1, 8])


@kernels
def test_refuses_what_does_not_match(name, extra):
    kernel, a = getattr(relevance, name), np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"same shape, not \(2, 3\) and \(3, 2\)"):
        kernel(a, a.T, *extra)
    with pytest.raises(ValueError, match="same dtype, not float32 and float64"):
        kernel(a, a.astype(np.float64), *extra)
    with pytest.raises(ValueError, match="must be float32 or float64, not int32"):
        kernel(a.astype(np.int32), a, *extra)
    with pytest.raises(ValueError, match="must be a NumPy array, not list"):
        kernel(a, a.tolist(), *extra)


@pytest.mark.parametrize("epsilon", [-1e-6, float("nan")])
def test_the_stabiliser_is_not_negative(epsilon):
    with pytest.raises(ValueError, match="epsilon must not be negative"):
        relevance.stabilised_divide(np.ones(2), np.ones(2), epsilon)


class HostTensor:
    """Looks like an OrtValue that lies in the memory of the CPU."""

    def data_ptr(self):
        return 0

    def shape(self):
        return [2, 3]

    def data_type(self):
        return "tensor(float)"

    def device_name(self):
        return "cpu"


def test_the_gpu_kernels_refuse_memory_of_the_cpu():
    tensor = HostTensor()
    with pytest.raises(ValueError, match="first must lie in GPU memory, not on cpu"):
        cuda.relu_mask(tensor, tensor, tensor)


def test_a_machine_without_a_gpu_counts_none():
    assert cuda_device_count() >= 0
    assert built_with_cuda() or cuda_device_count() == 0

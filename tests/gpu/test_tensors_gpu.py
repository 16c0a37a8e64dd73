"""Tensors that lie on a GPU as inputs. Needs nothing but NumPy, a GPU and the CUDA kernels."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.kernels import cuda_device_count

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(cuda_device_count() == 0, reason="no GPU, or onnxplain was built without CUDA"),
]


class OnGpu:
    """A copy of an array on the first GPU."""

    def __init__(self, array):
        from onnxplain.kernels import _core

        self.core = _core
        self.pointer = _core.cuda.to_device(array)
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (self.pointer, False),
            "version": 3,
        }

    def __dlpack_device__(self):
        return 2, 0

    def __del__(self):
        self.core.cuda.free(self.pointer)


def test_a_tensor_on_the_gpu(models):
    x, target = models.random(3, 5), np.array([1, 0, 2])
    found = ox.explain(models.mlp(), OnGpu(x), OnGpu(target), method="saliency", device="cpu")
    expected = ox.explain(models.mlp(), x, target, method="saliency", device="cpu")
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(found.inputs["x"], x)

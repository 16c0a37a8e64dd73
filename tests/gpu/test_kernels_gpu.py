"""The CUDA kernels against those in NumPy, bit by bit. Needs nothing but NumPy and a GPU."""

from __future__ import annotations

import numpy as np
import pytest

from onnxplain.kernels import cuda, cuda_device_count, numpy_kernels

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(cuda_device_count() == 0, reason="no GPU, or onnxplain was built without CUDA"),
]

DTYPES = (np.float32, np.float64)
SHAPES = [(1, 1), (1, 3), (3, 5), (2, 3, 17, 19), (4, 3, 224, 224), (0, 4), (2, 0)]
both = pytest.mark.parametrize("dtype", DTYPES)
shapes = pytest.mark.parametrize("shape", SHAPES)


class DeviceArray:
    """A NumPy array copied to the GPU, with the questions that an OrtValue answers."""

    def __init__(self, core, array):
        self.core = core
        self.host = np.array(array, order="C")
        self.pointer = core.cuda.to_device(self.host)

    def data_ptr(self):
        return self.pointer

    def shape(self):
        return list(self.host.shape)

    def data_type(self):
        return {"float32": "tensor(float)", "float64": "tensor(double)"}[self.host.dtype.name]

    def device_name(self):
        return "cuda"

    def numpy(self):
        self.core.cuda.to_host(self.pointer, self.host)
        return self.host


@pytest.fixture
def to_device():
    from onnxplain.kernels import _core

    made = []

    def make(array):
        made.append(DeviceArray(_core, array))
        return made[-1]

    yield make
    _core.cuda.synchronize()
    for array in made:
        _core.cuda.free(array.pointer)


def random(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def flat(array):
    return array.reshape(array.shape[0], int(np.prod(array.shape[1:])))


def same(result, expected):
    assert result.dtype == expected.dtype
    assert result.tobytes() == expected.tobytes()


@both
@shapes
@pytest.mark.parametrize("one_start", [False, True])
def test_interpolate(to_device, dtype, shape, one_start):
    start = random((1, *shape[1:]) if one_start else shape, dtype, 1)
    end, alphas = random(shape, dtype, 2), random(7, dtype, 3)
    out = to_device(np.zeros((7 * shape[0], *shape[1:]), dtype))
    cuda.interpolate(to_device(start), to_device(end), to_device(alphas), out)
    same(out.numpy(), numpy_kernels.interpolate(flat(start), flat(end), alphas))


@shapes
@pytest.mark.parametrize(
    ("acc_type", "dtype"), [(np.float32,) * 2, (np.float64,) * 2, (np.float64, np.float32)]
)
def test_accumulate(to_device, acc_type, dtype, shape):
    acc, weights = random(shape, acc_type, 1), random(7, acc_type, 2)
    grads = random((7 * shape[0], *shape[1:]), dtype, 3)
    on_device = to_device(acc)
    cuda.accumulate(on_device, to_device(grads), to_device(weights))
    expected = flat(acc.copy())
    numpy_kernels.accumulate(expected, flat(grads), weights)
    same(on_device.numpy(), expected)


@both
@shapes
@pytest.mark.parametrize("one_stdev", [False, True])
def test_noise(to_device, dtype, shape, one_stdev):
    x = random(shape, dtype, 1)
    stdev = np.abs(random(1 if one_stdev else shape[0], np.float64, 2))
    out = to_device(np.zeros((3 * shape[0], *shape[1:]), dtype))
    seed = 0x123456789ABCDEF0
    given = (to_device(x).data_ptr(), to_device(stdev).data_ptr(), stdev.size, out.data_ptr(), *flat(x).shape)
    out.core.cuda.noise(*given, 3, seed, 5, 2, 9, x.dtype.name)
    same(out.numpy(), numpy_kernels.noise(flat(x), stdev, seed, 5, 3, 2, 9))


def test_wrong_arguments_are_refused_before_anything_is_launched(to_device):
    x, y = to_device(np.zeros((2, 3), np.float32)), to_device(np.zeros((2, 3)))
    alphas = to_device(np.zeros(1, np.float32))
    with pytest.raises(ValueError, match="same dtype"):
        cuda.interpolate(x, y, alphas, x)
    with pytest.raises(ValueError, match="out must have the shape"):
        cuda.interpolate(x, x, alphas, to_device(np.zeros((3, 2), np.float32)))

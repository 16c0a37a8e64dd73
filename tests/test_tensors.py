"""Tensors of other libraries as inputs and targets, through ``__dlpack__`` and its relatives."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

import onnxplain as ox
from onnxplain.errors import DataInputError, TargetError
from onnxplain.inputs import as_array
from onnxplain.kernels import cuda

X = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
COPY = r"copy it to the host first: \.cpu\(\)"


class Exported:
    """A tensor of a library that NumPy knows nothing of."""

    def __init__(self, array: np.ndarray, device: tuple[int, int] = (1, 0)) -> None:
        self.array, self.device = array, device

    def __dlpack__(self, **words: object) -> object:
        return self.array.__dlpack__(**words)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


class Recorded(Exported):
    """One that a library records for its gradients, as PyTorch does."""

    requires_grad = True

    def __dlpack__(self, **words: object) -> object:
        raise BufferError("can't export tensors that require gradient")

    def detach(self) -> Exported:
        return Exported(self.array)


class OnGpu(Exported):
    """One that says it lies on a GPU, and refuses to be copied by the way."""

    def __init__(self, array: np.ndarray, device: tuple[int, int] = (2, 0), **about: object) -> None:
        super().__init__(array, device)
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, False),
            "strides": None if array.flags.c_contiguous else array.strides,
            "version": 3,
            **about,
        }

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError("implicit conversion is not allowed")


def read_only() -> np.ndarray:
    array = X.copy()
    array.flags.writeable = False
    return array


@pytest.fixture
def gpu(monkeypatch) -> None:
    """Let the memory of the CPU stand for that of a GPU."""

    def to_host(address: int, out: np.ndarray) -> None:
        ctypes.memmove(out.ctypes.data, address, out.nbytes)

    launchers = SimpleNamespace(synchronize=lambda: None, to_host=to_host)
    monkeypatch.setattr(cuda, "core", SimpleNamespace(built_with_cuda=True, cuda=launchers))
    monkeypatch.setattr("onnxplain.tensors.cuda_device_count", lambda: 1)


@pytest.mark.parametrize(
    "array", [X, X[::2, ::-1], np.asfortranarray(X), read_only(), X[:0], X > 0, X[0, 0:1]]
)
@pytest.mark.parametrize("kind", [Exported, Recorded, np.asarray])
def test_what_lies_on_the_cpu_is_read_where_it_lies(kind, array) -> None:
    found = as_array(kind(array), "x")
    np.testing.assert_array_equal(found, array, strict=True)
    assert np.shares_memory(found, array) or not array.size


def test_inputs_baselines_and_targets(models) -> None:
    explainer, zeros = ox.Explainer(models.mlp()), np.zeros_like(X)
    classes = np.array([1, 0, 2])
    expected = explainer(X, classes, "integrated_gradients", n_steps=3, baselines=zeros)
    found = explainer(
        Recorded(X), Exported(classes), "integrated_gradients", n_steps=3, baselines=Exported(zeros)
    )
    np.testing.assert_array_equal(found.values, expected.values)
    weights = ox.Weights(Exported(np.array([1.0, -1.0, 0.0])))
    np.testing.assert_array_equal(
        explainer({"x": Exported(X)}, weights, "saliency").values,
        explainer(X, ox.Weights([1, -1, 0]), "saliency").values,
    )


def test_results_are_handed_on_without_a_copy(models) -> None:
    values = ox.explain(models.mlp(), X, 1, method="lrp").values
    assert values.__dlpack_device__() == (1, 0)
    again = np.from_dlpack(Exported(values))
    assert np.shares_memory(again, values)
    assert values.flags.writeable


def test_bfloat16_is_widened(models) -> None:
    explainer, half = ox.Explainer(models.mlp()), X.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(
        explainer(half, 1, "saliency").values, explainer(half.astype(np.float32), 1, "saliency").values
    )


@pytest.mark.parametrize("array", [X, X[:0], np.arange(7)])
def test_what_lies_on_a_gpu_is_read_once(gpu, array) -> None:
    np.testing.assert_array_equal(as_array(OnGpu(array), "x"), array, strict=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (OnGpu(X, (2, 1)), "it lies on GPU 1; " + COPY),
        (OnGpu(X, (10, 0)), r"it lies on device 0 of kind 10 \(DLPack\); " + COPY),
        (OnGpu(X[:, ::2]), r"not contiguous; make it so \(\.contiguous\(\)\)"),
        (OnGpu(X.T), "not contiguous"),
        (OnGpu(X, mask=X), "has a mask"),
        (Exported(X, (2, 0)), "it lies on GPU 0; " + COPY),
    ],
)
def test_what_cannot_be_read_from_a_gpu(gpu, given, said) -> None:
    with pytest.raises(DataInputError, match=f"x is a .*{said}"):
        as_array(given, "x")


def test_where_no_gpu_can_be_read(monkeypatch, models) -> None:
    monkeypatch.setattr("onnxplain.tensors.cuda_device_count", lambda: 0)
    with pytest.raises(DataInputError, match="it lies on GPU 0; " + COPY):
        as_array(OnGpu(X), "x")
    with pytest.raises(TargetError, match="it lies on GPU 0; " + COPY):
        ox.explain(models.mlp(), X, OnGpu(np.array([1, 1, 1])), method="saliency")


def test_a_dtype_that_numpy_has_not(monkeypatch) -> None:
    class Strange(Exported):
        def __dlpack__(self, **_: object) -> object:
            raise BufferError("Unsupported dtype in DLTensor.")

    with pytest.raises(DataInputError, match=r"Unsupported dtype in DLTensor: .* \.float\(\) in PyTorch"):
        as_array(Strange(X), "x")

"""Tensors of other libraries as NumPy arrays: over the same memory on the CPU, read once from a GPU.

They are known by what they can do (``__array__``, ``__dlpack__``, ``__cuda_array_interface__``), and none of
the libraries is imported.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxplain._types import Array
from onnxplain.kernels import cuda, cuda_device_count

__all__ = ["read_tensor"]

#: Kinds of devices in DLPack whose memory the CPU can read: its own, and what CUDA and ROCm pin of it.
_ON_HOST = {1, 3, 11}
_CUDA = 2
_COPY = "copy it to the host first: .cpu() in PyTorch, .get() in CuPy, jax.device_get in JAX"


def read_tensor(given: Any) -> Array:
    """Return an array of what anything holds; what NumPy can read where it lies is not copied.

    Parameters
    ----------
    given
        A tensor of PyTorch, CuPy, JAX or of anything that has ``__dlpack__``; or whatever
        :func:`numpy.asarray` takes.  What PyTorch would record for its own gradients is left behind.

    Raises
    ------
    ValueError
        If it lies on a device that cannot be read from here, or NumPy has no such dtype; and whatever else an
        object's own methods raise.
    """
    if isinstance(given, np.ndarray):
        return given
    if getattr(given, "requires_grad", False) is True:
        given = given.detach()
    device = _device(given)
    if hasattr(given, "__array__"):
        try:
            return np.asarray(given)
        except Exception as error:  # an object's own __array__ raises what it likes
            if device is None or device[0] in _ON_HOST:
                raise _explained(error) from error
    elif device is None:
        return np.asarray(given)
    elif device[0] in _ON_HOST:
        try:
            return np.from_dlpack(given)
        except Exception as error:
            raise _explained(error) from error
    return _from_gpu(given, device)


def _device(given: Any) -> tuple[int, int] | None:
    """Return kind and number of the device that a tensor lies on; None for what does not say it."""
    if hasattr(given, "__dlpack_device__"):
        kind, number = given.__dlpack_device__()
        return int(kind), int(number)
    return (_CUDA, 0) if hasattr(given, "__cuda_array_interface__") else None


def _explained(error: Exception) -> Exception:
    """Return the error, or one that says the way out where NumPy has no such dtype."""
    text = str(error)
    if "bfloat16" in text.lower() or "float8" in text.lower() or "unsupported" in text.lower():
        return ValueError(
            f"{text.splitlines()[0].rstrip('.')}: NumPy has no such dtype; convert it first, with .float() "
            "in PyTorch or .astype('float32')"
        )
    return error


def _from_gpu(given: Any, device: tuple[int, int]) -> Array:
    """Copy a contiguous tensor from the first GPU."""
    about = getattr(given, "__cuda_array_interface__", None)
    if about is None or device != (_CUDA, 0) or cuda_device_count() == 0:
        name = (
            f"GPU {device[1]}" if device[0] == _CUDA else f"device {device[1]} of kind {device[0]} (DLPack)"
        )
        raise ValueError(f"it lies on {name}; {_COPY}")
    if about.get("mask") is not None:
        raise ValueError("it has a mask, which would be lost; put numbers there first")
    made = np.empty(about["shape"], np.dtype(about["typestr"]))
    if about.get("strides") not in (None, made.strides):
        raise ValueError("it lies on a GPU and is not contiguous; make it so (.contiguous()), or " + _COPY)
    if made.size:
        cuda.download(about["data"][0], made)
    return made

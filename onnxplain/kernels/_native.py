"""The compiled module, if it was built, and the checks that every kernel makes of its arrays."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    from types import ModuleType

FloatArray: TypeAlias = NDArray[np.floating[Any]]

FLOAT_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


def _load() -> ModuleType | None:
    """Import the compiled module; None in a source tree that was never built.

    A module that is there but does not load (another Python, a missing library) is an error, and
    is raised as such.
    """
    try:
        return import_module("onnxplain.kernels._core")
    except ModuleNotFoundError as error:
        if error.name == "onnxplain.kernels._core":
            return None
        raise


core = _load()
"""The module ``onnxplain.kernels._core``, or None where only the kernels in NumPy are there."""


def as_rows(array: FloatArray, name: str) -> FloatArray:
    """Return an array as contiguous rows.

    Parameters
    ----------
    array : ndarray, shape (N, ...), float32 or float64
        The array; anything else than a NumPy array of these types is refused, not converted.
    name : str
        How messages call the array.

    Returns
    -------
    ndarray, shape (N, D)
        The same values, D being the number of elements of one example. A view where the array was
        contiguous and aligned, else a copy.

    Raises
    ------
    ValueError
        If it is no NumPy array, if its dtype is not float32 or float64, or if it has no axes.
    """
    check_float(array, name)
    if array.ndim == 0:
        raise ValueError(f"{name} must have at least one axis, the batch; it is a scalar")
    cols = int(np.prod(array.shape[1:], dtype=np.int64))
    return as_aligned(array).reshape(array.shape[0], cols)


def check_float(array: FloatArray, name: str) -> None:
    """Raise ValueError unless the argument is a NumPy array of float32 or float64."""
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} must be a NumPy array, not {type(array).__name__}")
    if array.dtype not in FLOAT_DTYPES:
        raise ValueError(f"{name} must be float32 or float64, not {array.dtype}")


def check_same(first: FloatArray, first_name: str, second: FloatArray, second_name: str) -> None:
    """Raise ValueError unless the two arrays have one dtype."""
    if first.dtype != second.dtype:
        raise ValueError(
            f"{first_name} and {second_name} must have the same dtype, not {first.dtype} and {second.dtype}"
        )


def as_coefficients(values: object, name: str, dtype: np.dtype[Any]) -> FloatArray:
    """Return numbers as a contiguous vector of the dtype, or raise ValueError."""
    vector: FloatArray = as_aligned(values, dtype)
    if vector.ndim != 1:
        raise ValueError(f"{name} must have one axis, not {np.ndim(vector)}")
    return vector


def result_of(shape: tuple[int, ...], dtype: np.dtype[Any], out: NDArray[Any] | None) -> NDArray[Any]:
    """Return where to write: what was given, if it fits, or a new array; raise ValueError if it does not."""
    if out is None:
        return np.empty(shape, dtype)
    check_writable(out, "out")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(
            f"out must be of {dtype} and have the shape {shape}, not {out.dtype} and {out.shape}"
        )
    return out


def check_writable(array: FloatArray, name: str) -> None:
    """Raise ValueError unless the array is C-contiguous, aligned and may be written to."""
    if not array.flags.carray:
        raise ValueError(f"{name} is written in place: it must be C-contiguous, aligned and writable")


def as_aligned(values: object, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """Return an array as the compiled kernels read it, contiguous and aligned; copied only if it is not."""
    array = np.asarray(values, dtype)
    flags = array.flags
    if flags.c_contiguous and flags.aligned:
        return array
    return np.require(array, requirements=["C", "A"])


def check_sums(array: FloatArray, name: str) -> None:
    """Raise ValueError unless an array of float64 may be written in place."""
    check_writable(array, name)
    if array.dtype != np.float64:
        raise ValueError(f"{name} must be float64, not {array.dtype}")

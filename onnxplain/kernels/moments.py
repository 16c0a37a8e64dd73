"""Sums of powers of samples, from which their moments are made."""

from __future__ import annotations

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.kernels import cuda_batches
from onnxplain.kernels._native import FLOAT_DTYPES, as_aligned, check_writable, core
from onnxplain.kernels.device_array import on_device

__all__ = ["add_powers", "centred"]


def centred(samples: Array, first: FloatArray | None = None) -> FloatArray:
    r"""Return what samples differ from one, in double precision: :math:`x_s - first`.

    Parameters
    ----------
    samples : ndarray, shape (S, ...)
        The samples.
    first : ndarray of float64, shape (...), optional
        Zero where it is not given.

    Returns
    -------
    ndarray of float64, shape (S, ...)
    """
    if on_device(samples):
        made: FloatArray = cuda_batches.centred(samples, first)
        return made
    wide: FloatArray = samples.astype(np.float64)
    return wide if first is None else wide - first


def add_powers(sums: FloatArray, first: FloatArray, samples: Array, *, squared: bool = False) -> None:
    r"""Add up powers of what samples differ from one, in place.

    .. math:: sums_k \mathrel{+}= \sum_s (x_s - first)^{k+1}

    The terms of one call are added up, in their order, before they are added to the sums.

    Parameters
    ----------
    sums : ndarray of float64, shape (at most 4, ...)
        Added to; C-contiguous.
    first : ndarray of float64, shape (...)
        What samples are counted from.
    samples : ndarray of floats, shape (S, ...)
        The samples.
    squared : bool
        Whether squares of both take their place.

    Raises
    ------
    ValueError
        If shapes or dtypes do not fit, or the sums cannot be written in place.
    """
    if on_device(samples):
        cuda_batches.add_powers(sums, first, samples, squared)
        return
    check_writable(sums, "sums")
    if sums.dtype != np.float64 or sums.shape[1:] != samples.shape[1:] or first.shape != samples.shape[1:]:
        raise ValueError(
            f"sums must be float64, and sums and first of the shape {samples.shape[1:]} for each power; they "
            f"are {sums.dtype}, {sums.shape} and {first.shape}"
        )
    if core is None or samples.dtype not in FLOAT_DTYPES:
        _add_powers(sums, first, samples, squared)
        return
    cols = first.size
    core.add_powers(
        sums.reshape(len(sums), cols), as_aligned(first, np.float64).reshape(cols),
        as_aligned(samples).reshape(len(samples), cols), squared,
    )  # fmt: skip


def _add_powers(sums: FloatArray, first: FloatArray, samples: Array, squared: bool) -> None:
    """Add powers up in NumPy: the definition that C++ is held to, bit by bit."""
    wide = samples.astype(np.float64)
    with np.errstate(all="ignore"):
        differences = wide**2 - first**2 if squared else wide - first
        power = differences.copy()
        for total in sums:
            once = np.zeros_like(total)
            for term in power:
                once += term
            total += once
            power *= differences

"""Batches along a path and their weighted sums.

Integrated gradients, SmoothGrad, expected gradients and their kin make many inputs out of one,
take gradients at each, and add them up with weights. Rows of a batch of S steps are ordered step
first: row ``s * N + n`` is example n at step s.

What lies on a GPU (:class:`~onnxplain.kernels.device_array.DeviceArray`) is worked on there.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from onnxplain.kernels import cuda_batches, numpy_kernels
from onnxplain.kernels._native import (
    FloatArray,
    as_aligned,
    as_coefficients,
    as_rows,
    check_same,
    check_writable,
    core,
    result_of,
)
from onnxplain.kernels.device_array import on_device

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["accumulate", "between", "interpolate", "noise", "times_way"]


def interpolate(
    start: FloatArray, end: FloatArray, alphas: ArrayLike, out: FloatArray | None = None
) -> FloatArray:
    r"""Make the points of a straight path between two inputs.

    .. math:: out_{sN+n} = start_n + \alpha_s (end_n - start_n)

    Parameters
    ----------
    start : ndarray, shape (N, ...) or (1, ...), float32 or float64
        Where the path starts; one row serves all examples.
    end : ndarray, shape (N, ...), dtype of ``start``
        Where the path ends.
    alphas : array_like, shape (S,)
        Positions on the path, 0 at the start and 1 at the end; rounded to the dtype of ``start``.
    out : ndarray, shape (S * N, ...), dtype of ``start``, optional
        Written to, C-contiguous; made if it is not given.

    Returns
    -------
    ndarray, shape (S * N, ...), dtype of ``start``

    Raises
    ------
    ValueError
        If shapes or dtypes are not as above.
    """
    if on_device(end):
        made: FloatArray = cuda_batches.interpolate(start, end, alphas, out)
        return made
    first, last = as_rows(start, "start"), as_rows(end, "end")
    check_same(start, "start", end, "end")
    if start.shape[1:] != end.shape[1:] or start.shape[0] not in (1, end.shape[0]):
        raise ValueError(
            f"start must have the shape of end, {end.shape}, or one row of it; it has {start.shape}"
        )
    steps = as_coefficients(alphas, "alphas", end.dtype)
    result = result_of((steps.size * end.shape[0], *end.shape[1:]), end.dtype, out)
    flat = result.reshape(steps.size * end.shape[0], last.shape[1])
    if core is None:
        flat[...] = numpy_kernels.interpolate(first, last, steps)
    else:
        core.interpolate(first, last, steps, flat)
    return result


def between(start: FloatArray, end: FloatArray, alphas: FloatArray) -> FloatArray:
    r"""Make one point of each of many paths.

    .. math:: out_{sN+n} = start_{sN+n} + \alpha_s (end_{sN+n} - start_{sN+n})

    Parameters
    ----------
    start, end : ndarray, shape (S * N, ...), floats
        Where paths start and end, those of a step next to each other.
    alphas : ndarray, shape (S,)
        Positions on the paths of each step; rounded to the dtype of ``start``.

    Returns
    -------
    ndarray, shape (S * N, ...), dtype of ``start``
    """
    if on_device(end):
        made: FloatArray = cuda_batches.between(start, end, alphas)
        return made
    each = alphas.astype(start.dtype).repeat(len(start) // max(len(alphas), 1))
    points: FloatArray = start + each.reshape(-1, *(1,) * (start.ndim - 1)) * (end - start)
    return points


def times_way(values: FloatArray, start: FloatArray, end: FloatArray) -> FloatArray:
    r"""Multiply values by the ways of paths, ``values (end - start)``.

    Parameters
    ----------
    values, start, end : ndarray, shape (R, ...), floats
        All of one shape; on a GPU, of one dtype.

    Returns
    -------
    ndarray, shape (R, ...)
    """
    if on_device(values):
        made: FloatArray = cuda_batches.times_way(values, start, end)
        return made
    product: FloatArray = values * (end - start)
    return product


def accumulate(acc: FloatArray, grads: FloatArray, weights: ArrayLike) -> None:
    r"""Add the weighted sum of a batch of steps to an array, in place.

    .. math:: acc_n \leftarrow acc_n + \sum_s w_s\, grads_{sN+n}

    The steps are added in their order and in the dtype of ``acc``, so steps may be split over
    several calls without changing a bit. Where many steps are added, a float64 ``acc`` for float32
    gradients keeps the rounding of the sum below that of its terms.

    Parameters
    ----------
    acc : ndarray, shape (N, ...), float64 or the dtype of ``grads``
        Added to; C-contiguous.
    grads : ndarray, shape (S * N, ...), float32 or float64
        The terms, step first.
    weights : array_like, shape (S,)
        One weight for each step; rounded to the dtype of ``acc``.

    Raises
    ------
    ValueError
        If shapes or dtypes are not as above, or ``acc`` cannot be written in place.
    """
    if on_device(acc):
        cuda_batches.accumulate(acc, grads, weights)
        return
    total, terms = as_rows(acc, "acc"), as_rows(grads, "grads")
    check_writable(acc, "acc")
    if acc.dtype not in (grads.dtype, np.dtype(np.float64)):
        raise ValueError(f"acc must be float64 or the dtype of grads, {grads.dtype}; not {acc.dtype}")
    factors = as_coefficients(weights, "weights", acc.dtype)
    expected = (factors.size * acc.shape[0], *acc.shape[1:])
    if grads.shape != expected:
        raise ValueError(
            f"grads must have the shape {expected}: {factors.size} weights times the rows of acc, "
            f"{acc.shape}; it has {grads.shape}"
        )
    if core is None:
        numpy_kernels.accumulate(total, terms, factors)
    else:
        core.accumulate(total, terms, factors)


def noise(
    x: FloatArray,
    stdev: ArrayLike,
    seed: int,
    first_sample: int = 0,
    n_samples: int = 1,
    *,
    substream: int = 0,
    alike: bool = False,
    out: FloatArray | None = None,
) -> FloatArray:
    r"""Add independent Gaussian noise to an input, many times.

    .. math:: out_{sN+n} = x_n + \sigma_n z, \quad z \sim \mathcal N(0, 1)

    The noise is a pure function of ``seed``, ``substream``, the number of the sample, the number of
    the example and the position of the element: samples may be made in any portions, on any number
    of threads, and the bits are the same. The integers come from Philox4x32-10 (Salmon et al., 2011),
    the normals from the Box-Muller transform in the dtype of ``x``: those of float32 are those of
    float64 to 4e-7 of their size.

    Parameters
    ----------
    x : ndarray, shape (N, ...), float32 or float64
        The examples.
    stdev : array_like, scalar or shape (N,)
        Standard deviation, in the units of ``x``; not negative.
    seed : int
        From 0 to 2**64 - 1.
    first_sample : int
        Number of the first sample made here, where samples are made in portions.
    n_samples : int
        How many samples, S.
    substream : int
        Tells apart several tensors perturbed with one seed, such as the inputs of one model.
    alike : bool
        Whether all examples get the numbers of the first one, whatever their place in the batch.
    out : ndarray, shape (S * N, ...), dtype of ``x``, optional
        Written to, C-contiguous; made if it is not given.

    Returns
    -------
    ndarray, shape (S * N, ...), dtype of ``x``

    Raises
    ------
    ValueError
        If shapes, dtypes or ranges are not as above.
    """
    sigma = as_stdev(stdev, x.shape[0])
    if on_device(x):
        _check_counters(seed, first_sample, n_samples, (len(x), prod(x.shape[1:])), substream)
        made: FloatArray = cuda_batches.noise(x, sigma, seed, first_sample, n_samples, substream, alike, out)
        return made
    rows = as_rows(x, "x")
    _check_counters(seed, first_sample, n_samples, rows.shape, substream)
    result = result_of((n_samples * x.shape[0], *x.shape[1:]), x.dtype, out)
    flat = result.reshape(n_samples * x.shape[0], rows.shape[1])
    if core is None:
        flat[...] = numpy_kernels.noise(rows, sigma, seed, first_sample, n_samples, 0, substream, alike=alike)
    else:
        core.noise(rows, sigma, seed, first_sample, 0, substream, alike, flat)
    return result


def as_stdev(stdev: ArrayLike, rows: int) -> FloatArray:
    """Return standard deviations as float64 of shape (1,) or (rows,), or raise ValueError."""
    sigma: FloatArray = as_aligned(stdev, np.float64).reshape(-1)
    if np.ndim(stdev) > 1 or sigma.size not in (1, rows):
        raise ValueError(
            f"stdev must be one number or one for each of the {rows} examples; "
            f"it has the shape {np.shape(stdev)}"
        )
    if not np.all(sigma >= 0):
        raise ValueError("stdev must not be negative")
    return sigma


def _check_counters(
    seed: int, first_sample: int, n_samples: int, shape: tuple[int, ...], substream: int
) -> None:
    """Raise ValueError unless every number fits its place in the generator's counter or key."""
    for name, value, limit in (
        ("seed", seed, 2**64),
        ("first_sample", first_sample, 2**32),
        ("substream", substream, 2**32),
        ("n_samples", n_samples, 2**32 - first_sample + 1),
        ("the number of rows", shape[0], 2**32 + 1),
        ("the number of elements of a row", shape[1], 2**34 + 1),
    ):
        if not 0 <= value < limit:
            raise ValueError(f"{name} must be at least 0 and below {limit}, not {value}")

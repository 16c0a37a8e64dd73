"""Batches of which parts are taken away, and the sums of what a model answers to them.

They serve methods that perturb: features are kept or replaced player by player, hidden by windows, or faded
by soft masks.  Rows of a batch of S steps are ordered step first: row ``s * N + n`` is example n at step s.

What lies on a GPU (:class:`~onnxplain.kernels.device_array.DeviceArray`) is worked on there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onnxplain._types import Array, FloatArray, IntArray, Shape
from onnxplain.kernels import cuda_batches, masked_numpy
from onnxplain.kernels._native import FLOAT_DTYPES, as_aligned, check_same, check_sums, core, result_of
from onnxplain.kernels.device_array import on_device

__all__ = ["MOST_AXES", "choose", "cover", "fade", "fade_players", "pattern", "sum_boxes"]

#: What moves elements moves their bits, as integers of their size.
_WORDS: dict[int, Any] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_PLAIN = "biufc"  # kinds whose elements are bits, and not objects or texts
MOST_AXES = 8  # of a box in C++: kMaxBoxAxes


def choose(
    x: Array,
    instead: Array,
    ids: IntArray,
    kept: Array,
    out: Array | None = None,
    which: IntArray | None = None,
) -> Array:
    r"""Replace the elements of those who are not kept.

    .. math:: out_{sN+n,d} = x_{n,d} \text{ if } kept_{s,n,ids_{n,d}} \text{ else } instead_{which_s,n,d}

    Parameters
    ----------
    x : ndarray, shape (N, ...), any dtype
        The examples.
    instead : ndarray, shape (N or 1, ...) or (S or 1, N or 1, ...)
        What stands in place of what is taken away.
    ids : ndarray of int64, shape (N or 1, ...)
        Whose each element is, below P; what is negative is always kept.
    kept : ndarray of bool, shape (S, N or 1, P)
        Who stays.
    out : ndarray, shape (S * N, ...), dtype of ``x``, optional
        Written to, C-contiguous; made if it is not given.
    which : ndarray of int64, shape (S,), optional
        The first axis of ``instead`` is then of any length, and these are the entries that steps take.

    Returns
    -------
    ndarray, shape (S * N, ...)

    Raises
    ------
    ValueError
        If shapes do not fit, or an id is not below P.
    """
    if on_device(x):
        there: Array = cuda_batches.choose(x, instead, ids, kept, out, which)
        return there
    n, steps = len(x), len(kept)
    shape = (steps * n, *x.shape[1:])
    each = instead if instead.ndim == x.ndim + 1 else instead[None]
    dtype = _joint(x, instead)
    if which is not None and which.size and not 0 <= int(which.min()) <= int(which.max()) < len(each):
        raise ValueError("which is no row")
    if core is None or not _words(dtype):
        each = each if which is None else each[which]
        flat = each.reshape(*each.shape[:2], -1) if each.size else np.empty((1, 1, _cols(x)), each.dtype)
        if ids.size and int(ids.max()) >= kept.shape[2]:
            raise ValueError("an id is not below the number of players")
        made = masked_numpy.choose(_rows(x), flat, _rows(ids, np.int64), kept)
        return _given(made.reshape(shape), dtype, out)
    result = result_of(shape, x.dtype, out)
    word = _WORDS[x.dtype.itemsize]
    stands = as_aligned(each).reshape(*each.shape[:2], _cols(x)).view(word)
    core.choose(
        _rows(x).view(word), stands, _rows(ids, np.int64), as_aligned(kept, bool).view(np.uint8),
        _rows(result).view(word),
        None if which is None else as_aligned(which, np.int64),
    )  # fmt: skip
    return result


def cover(x: Array, instead: Array, starts: IntArray, window: Shape, out: Array | None = None) -> Array:
    """Hide what lies in a box, one box for each step.

    Parameters
    ----------
    x, instead : ndarray, shape (N, ...), any dtype
        The examples, and what stands within the box.
    starts : ndarray of int64, shape (S, axes)
        Where boxes begin, along each axis of a sample (one axis of length 1 if it has none); a box that
        begins beyond an end hides nothing.
    window : tuple of int
        How long they are.
    out : ndarray, shape (S * N, ...), dtype of ``x``, optional
        Written to, C-contiguous; made if it is not given.

    Returns
    -------
    ndarray, shape (S * N, ...)

    Raises
    ------
    ValueError
        If shapes do not fit.
    """
    if on_device(x):
        there: Array = cuda_batches.cover(x, instead, starts, window, out)
        return there
    sample = x.shape[1:] or (1,)
    shape = (len(starts) * len(x), *x.shape[1:])
    dtype = _joint(x, instead)
    if core is None or not _words(dtype) or len(sample) > MOST_AXES:
        made = masked_numpy.cover(_rows(x.astype(dtype)), _rows(instead), starts, window, sample)
        return _given(made.reshape(shape), dtype, out)
    result = result_of(shape, x.dtype, out)
    word = _WORDS[x.dtype.itemsize]
    core.cover(
        _rows(x).view(word), _rows(instead).view(word), *_boxes(starts, window, sample),
        _rows(result).view(word),
    )  # fmt: skip
    return result


def sum_boxes(total: FloatArray, lost: FloatArray, starts: IntArray, window: Shape) -> None:
    """Add one number for each step and example to all elements within the step's box, in place.

    Parameters
    ----------
    total : ndarray of float64, shape (N, ...)
        Added to, in the order of the steps; C-contiguous.
    lost : ndarray of float64, shape (S, N)
        What is added.
    starts, window
        The boxes; see :func:`cover`.

    Raises
    ------
    ValueError
        If shapes do not fit, or ``total`` cannot be written in place.
    """
    check_sums(total, "total")
    sample = total.shape[1:] or (1,)
    if core is None or len(sample) > MOST_AXES:
        masked_numpy.sum_boxes(total, lost, starts, window, sample)
    else:
        core.sum_boxes(_rows(total), as_aligned(lost, np.float64), *_boxes(starts, window, sample))


def fade(x: FloatArray, baseline: FloatArray, mask: FloatArray, out: Array | None = None) -> FloatArray:
    r"""Fade examples into baselines.

    .. math:: out_{sN+n} = m_{s,n} (x_n - b_n) + b_n

    Where a mask is 1 the example itself stands; where either is missing (NaN), the nearer of both.

    Parameters
    ----------
    x, baseline : ndarray, shape (N, ...), float16, float32 or float64
        The examples, and what is behind them.
    mask : ndarray of floats, shape (S, N or 1, ...)
        How much stays; broadcasts to the examples, and is rounded to their dtype.
    out : ndarray, shape (S * N, ...), dtype of ``x``, optional
        Written to, C-contiguous; made if it is not given.

    Returns
    -------
    ndarray, shape (S * N, ...), dtype of ``x``

    Raises
    ------
    ValueError
        If shapes do not fit.
    """
    if on_device(mask):
        cells, inner = pattern(mask.shape[2:], x.shape[1:])
        if cells is None:
            raise ValueError("on a GPU a mask is full between the first and the last axis where it is not 1")
        flat: Any = mask.reshape(*mask.shape[:2], cells)
        there: Array = cuda_batches.fade(x, baseline, flat, inner, out)
        return there
    if x.dtype.kind != "f":
        raise ValueError(f"x must be float16, float32 or float64, not {x.dtype}")
    mask = mask.astype(x.dtype, copy=False)
    mask, inner = _pattern(mask, x.shape[1:])
    shape = (len(mask) * len(x), *x.shape[1:])
    if core is None or x.dtype not in FLOAT_DTYPES or baseline.dtype != x.dtype:
        made = masked_numpy.fade(_rows(x), _rows(baseline), mask, inner)
        return _given(made.reshape(shape), x.dtype, out)
    result = result_of(shape, x.dtype, out)
    core.fade(_rows(x), _rows(baseline), mask, inner, _rows(result))
    return result


def fade_players(
    x: FloatArray, baseline: FloatArray, ids: IntArray, degrees: FloatArray, out: Array | None = None
) -> FloatArray:
    r"""Fade players into baselines, each to a degree of its own.

    .. math:: out_{sN+n,d} = m (x_{n,d} - b_{n,d}) + b_{n,d}, \quad m = degrees_{s, ids_{n,d}}

    Parameters
    ----------
    x, baseline, out
        As of :func:`fade`.
    ids : ndarray of int, shape (N or 1, ...)
        Whose an element is; below 0 nobody's, which stays as it is.
    degrees : ndarray of floats, shape (S, players)
        How much of each player stays; rounded to the dtype of ``x``.

    Returns
    -------
    ndarray, shape (S * N, ...), dtype of ``x``

    Raises
    ------
    ValueError
        If shapes do not fit, or an id is not below the number of players.
    """
    if ids.size and int(ids.max()) >= degrees.shape[1]:
        raise ValueError("an id is not below the number of players")
    if on_device(x):
        made: FloatArray = cuda_batches.fade_players(x, baseline, ids, degrees, out)
        return made
    stays = np.concatenate([degrees, np.ones((len(degrees), 1), degrees.dtype)], 1)
    return fade(x, baseline, stays[:, np.where(ids < 0, -1, ids)], out)


def _pattern(mask: FloatArray, shape: Shape) -> tuple[FloatArray, int]:
    """Return a mask as (S, N or 1, cells), and how many elements in a row have the same one.

    The lengths of 1 in front are repeats, those at the end are inner ones; between them the mask is full.
    """
    each = mask.shape[2:]
    first, last = _span(each, shape)
    full = np.broadcast_to(mask, (*mask.shape[:2], *each[:first], *shape[first:last], *each[last:]))
    inner = int(np.prod(shape[last:], dtype=np.int64))
    cells = int(np.prod(full.shape[2:], dtype=np.int64))
    return as_aligned(full).reshape(*mask.shape[:2], cells), inner


def pattern(each: Shape, shape: Shape) -> tuple[int | None, int]:
    """Return a mask's number of cells, and how many elements in a row of a sample have the same one.

    Parameters
    ----------
    each, shape
        Of the mask for a step, and of a sample, to which it broadcasts.

    Returns
    -------
    cells
        None where the mask would have to be repeated along axes between those of its own.
    inner
        How many elements.

    Raises
    ------
    ValueError
        If it does not broadcast.
    """
    first, last = _span(each, shape)
    whole = each[first:last] == shape[first:last]
    return math.prod(each) if whole else None, math.prod(shape[last:])


def _span(each: Shape, shape: Shape) -> tuple[int, int]:
    """Return from where to where the axes of a mask are its own."""
    if len(each) != len(shape) or any(m not in (1, d) for m, d in zip(each, shape, strict=True)):
        raise ValueError(f"the mask has the shape {each} for each step, which does not broadcast to {shape}")
    own = [axis for axis, length in enumerate(each) if length > 1]
    return (own[0], own[-1] + 1) if own else (len(shape), len(shape))


def _boxes(starts: IntArray, window: Shape, sample: Shape) -> tuple[IntArray, IntArray, IntArray]:
    return as_aligned(starts, np.int64), np.array(window, np.int64), np.array(sample, np.int64)


def _joint(x: Array, instead: Array) -> np.dtype[Any]:
    """Return the dtype of both; texts may differ in theirs."""
    if x.dtype != instead.dtype and x.dtype.kind in _PLAIN:
        check_same(x, "x", instead, "instead")
    return x.dtype if x.dtype == instead.dtype else np.result_type(x, instead)


def _words(dtype: np.dtype[Any]) -> bool:
    """Tell whether elements can be moved as words."""
    return dtype.kind in _PLAIN and dtype.itemsize in _WORDS


def _cols(array: Array) -> int:
    return math.prod(array.shape[1:])


def _rows(array: Array, dtype: DTypeLike | None = None) -> Array:
    """Return an array as contiguous rows: a view where it was contiguous, and of the dtype."""
    return as_aligned(array, dtype).reshape(len(array), _cols(array))


def _given(made: Array, dtype: np.dtype[Any], out: Array | None) -> Array:
    """Return what was made in this dtype, in the array that was given for it."""
    if out is None:
        return made.astype(dtype, copy=False)
    result_of(made.shape, dtype, out)[...] = made
    return out

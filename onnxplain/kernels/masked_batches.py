"""Batches of which parts are taken away, and the sums of what a model answers to them.

They serve methods that perturb: features are kept or replaced player by player, hidden by windows, or faded
by soft masks.  Rows of a batch of S steps are ordered step first: row ``s * N + n`` is example n at step s.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onnxplain._types import Array, FloatArray, IntArray, Shape
from onnxplain.kernels import masked_numpy
from onnxplain.kernels._native import FLOAT_DTYPES, as_aligned, check_same, check_writable, core, result_of

__all__ = ["choose", "cover", "fade", "stretch", "sum_boxes", "sum_masks"]

#: What moves elements moves their bits, as integers of their size.
_WORDS: dict[int, Any] = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_PLAIN = "biufc"  # kinds whose elements are bits, and not objects or texts
_MOST_AXES = 8  # of a box in C++: kMaxBoxAxes


def choose(x: Array, instead: Array, ids: IntArray, kept: Array, out: Array | None = None) -> Array:
    r"""Replace the elements of those who are not kept.

    .. math:: out_{sN+n,d} = x_{n,d} \text{ if } kept_{s,n,ids_{n,d}} \text{ else } instead_{s,n,d}

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

    Returns
    -------
    ndarray, shape (S * N, ...)

    Raises
    ------
    ValueError
        If shapes do not fit, or an id is not below P.
    """
    n, steps = len(x), len(kept)
    shape = (steps * n, *x.shape[1:])
    each = instead if instead.ndim == x.ndim + 1 else instead[None]
    dtype = _joint(x, instead)
    if core is None or not _words(dtype):
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
    sample = x.shape[1:] or (1,)
    shape = (len(starts) * len(x), *x.shape[1:])
    dtype = _joint(x, instead)
    if core is None or not _words(dtype) or len(sample) > _MOST_AXES:
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
    _check_sums(total, "total")
    sample = total.shape[1:] or (1,)
    if core is None or len(sample) > _MOST_AXES:
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


def stretch(
    cells: FloatArray, left: IntArray, first: FloatArray, second: FloatArray, shift: IntArray, length: int
) -> FloatArray:
    """Draw cells out along an axis: each place is a mixture of two neighbours.

    Parameters
    ----------
    cells : ndarray of float32, shape (S, B, C, A)
        The cells, along the axis of C.
    left : ndarray of int64, shape (places,)
        The first cell of each place; the other one is behind it.
    first, second : ndarray of float32, shape (places,)
        How much of both a place gets.
    shift : ndarray of int64, shape (S,)
        At which place each step begins.
    length : int
        How many places it has.

    Returns
    -------
    ndarray of float32, shape (S, B, length, A)

    Raises
    ------
    ValueError
        If shapes do not fit, or there are not as many places or cells.
    """
    if core is None:
        return masked_numpy.stretch(cells, left, first, second, shift, length)
    made: FloatArray = np.empty((*cells.shape[:2], length, cells.shape[3]), np.float32)
    core.stretch(as_aligned(cells), left, first, second, shift, made)
    return made


def sum_masks(
    linear: FloatArray, square: FloatArray, masks: FloatArray, scores: FloatArray, origin: float
) -> None:
    r"""Add up masks and their squares, alone and times scores, in place and in the order of the steps.

    With :math:`u = mask_s - origin` and :math:`c = scores_s`, ``linear`` gets :math:`u` and :math:`c_n u`,
    and ``square`` gets :math:`u^2`, :math:`c_n u^2` and :math:`c_n^2 u^2`.

    Parameters
    ----------
    linear : ndarray of float64, shape (1 + N, ...)
        Added to; C-contiguous.
    square : ndarray of float64, shape (1 + 2 N, ...)
        Added to; C-contiguous.
    masks : ndarray of float32, shape (S, ...)
        The masks.
    scores : ndarray of float64, shape (S, N)
        The scores under them.
    origin : float
        What masks are counted from.

    Raises
    ------
    ValueError
        If shapes do not fit, or the sums cannot be written in place.
    """
    _check_sums(linear, "linear")
    _check_sums(square, "square")
    sums = _rows(linear), _rows(square)
    if core is None:
        masked_numpy.sum_masks(*sums, _rows(masks, np.float32), scores, origin)
    else:
        core.sum_masks(*sums, _rows(masks, np.float32), as_aligned(scores, np.float64), origin)


def _check_sums(array: FloatArray, name: str) -> None:
    """Raise ValueError unless an array of float64 may be written in place."""
    check_writable(array, name)
    if array.dtype != np.float64:
        raise ValueError(f"{name} must be float64, not {array.dtype}")


def _pattern(mask: FloatArray, shape: Shape) -> tuple[FloatArray, int]:
    """Return a mask as (S, N or 1, cells), and how many elements in a row have the same one.

    The lengths of 1 in front are repeats, those at the end are inner ones; between them the mask is full.
    """
    each = mask.shape[2:]
    if len(each) != len(shape) or any(m not in (1, d) for m, d in zip(each, shape, strict=True)):
        raise ValueError(f"the mask has the shape {each} for each step, which does not broadcast to {shape}")
    own = [axis for axis, length in enumerate(each) if length > 1]
    first, last = (own[0], own[-1] + 1) if own else (len(shape), len(shape))
    full = np.broadcast_to(mask, (*mask.shape[:2], *each[:first], *shape[first:last], *each[last:]))
    inner = int(np.prod(shape[last:], dtype=np.int64))
    cells = int(np.prod(full.shape[2:], dtype=np.int64))
    return as_aligned(full).reshape(*mask.shape[:2], cells), inner


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

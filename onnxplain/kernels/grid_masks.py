"""Masks of small grids: which cells are kept, how they are drawn out, and the sums of masks times scores.

They serve RISE and its kin.  Grids are drawn by numbers that a step's place decides, and never all held.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onnxplain._types import Array, FloatArray, IntArray
from onnxplain.kernels import cuda_batches, masked_numpy
from onnxplain.kernels._native import as_aligned, check_sums, core
from onnxplain.kernels.device_array import on_device

__all__ = ["draw_cells", "stretch", "sum_masks"]


def draw_cells(
    seed: int,
    stream: int,
    first: int,
    steps: int,
    cells: int,
    keep: float,
    lengths: IntArray,
    *,
    dtype: DTypeLike = np.float32,
    like: Any = None,
) -> tuple[Array, IntArray]:
    """Draw which cells are kept, and how far a grid of them is shifted: the numbers of a step's place.

    They are those of :func:`onnxplain.kernels.uniform.uniforms`, wherever they are made.

    Parameters
    ----------
    seed, stream, first, steps
        Which numbers; see there.
    cells
        How many cells a step has.
    keep
        Probability to be kept.
    lengths : ndarray of int64, shape (A,)
        What shifts along each axis are below.
    dtype
        Of the cells: float32, where kept ones are 1, or bool.
    like
        An array beside which they are made.

    Returns
    -------
    cells : ndarray, shape (steps, cells)
    shifts : ndarray of int64, shape (A, steps)

    Raises
    ------
    ValueError
        If the dtype is another.
    """
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.bool_):
        raise ValueError(f"cells are float32 or bool, not {dtype}")
    if on_device(like):
        drawn: tuple[Array, IntArray] = cuda_batches.draw_cells(
            seed, stream, first, steps, cells, keep, lengths, dtype, like.stream
        )
        return drawn
    if core is None:
        return masked_numpy.draw_cells(seed, stream, first, steps, cells, keep, lengths, dtype)
    made, shifts = np.empty((steps, cells), dtype), np.empty((len(lengths), steps), np.int64)
    words = made.view(np.uint8) if dtype == np.bool_ else made
    core.draw_cells(words, shifts, as_aligned(lengths, np.int64), seed, stream, first, keep)
    return made, shifts


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
    if on_device(cells):
        there: FloatArray = cuda_batches.stretch(cells, left, first, second, shift, length)
        return there
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
    if on_device(masks):
        cuda_batches.sum_masks(linear, square, masks, scores, origin)
        return
    check_sums(linear, "linear")
    check_sums(square, "square")
    sums = _flat(linear), _flat(square)
    if core is None:
        masked_numpy.sum_masks(*sums, _flat(as_aligned(masks, np.float32)), scores, origin)
    else:
        core.sum_masks(*sums, _flat(as_aligned(masks, np.float32)), as_aligned(scores, np.float64), origin)


def _flat(array: Array) -> Array:
    """Return contiguous rows, without a copy."""
    return array.reshape(len(array), prod(array.shape[1:]))

"""The kernels of `masked_batches` in NumPy: the definition that C++ is held to, bit by bit.

They take arrays of rows, (N, D), that are already checked, and follow the order of the C++ code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxplain._types import Array, FloatArray, IntArray, Shape
from onnxplain.kernels.uniform import uniforms

__all__ = ["choose", "cover", "draw_cells", "fade", "slices", "stretch", "sum_boxes", "sum_masks"]


def choose(x: Array, instead: Array, ids: IntArray, kept: Array) -> Array:
    """`masked_batches.choose`: (N, D), (S or 1, N or 1, D), (N or 1, D), (S, N or 1, P) give (S, N, D)."""
    stays = np.concatenate([kept, np.ones((*kept.shape[:2], 1), bool)], 2)  # -1 is nobody's
    made: Array = np.where(stays[:, np.arange(kept.shape[1])[:, None], ids], x, instead)
    return np.broadcast_to(made, (len(kept), *x.shape))


def cover(x: Array, instead: Array, starts: IntArray, window: Shape, shape: Shape) -> Array:
    """`masked_batches.cover`: (N, D), (N, D), (S, axes) give (S, N, D)."""
    out = np.repeat(x[None], len(starts), 0).reshape(len(starts), len(x), *shape)
    other = instead.reshape(len(x), *shape)
    for step, start in enumerate(starts):
        box = slices(start, window, shape)
        out[step][box] = other[box]
    return out.reshape(len(starts), *x.shape)


def sum_boxes(total: FloatArray, lost: FloatArray, starts: IntArray, window: Shape, shape: Shape) -> None:
    """`masked_batches.sum_boxes`: (N, D) in place, (S, N), (S, axes)."""
    view = total.reshape(len(total), *shape)
    for step, start in enumerate(starts):
        view[slices(start, window, shape)] += lost[step].reshape(-1, *(1,) * len(shape))


def slices(start: IntArray, window: Shape, shape: Shape) -> tuple[slice, ...]:
    """Return where a box lies in all rows, cut off at the ends."""
    ends = zip(start.tolist(), window, shape, strict=True)
    return (slice(None), *(slice(max(a, 0), max(min(a + w, n), 0)) for a, w, n in ends))


def fade(x: FloatArray, baseline: FloatArray, mask: FloatArray, inner: int) -> FloatArray:
    """`masked_batches.fade`: (N, D), (N, D), (S, N or 1, cells) give (S, N, D)."""
    cells = mask.shape[2]
    shape = (len(x), x.shape[1] // max(cells * inner, 1), cells, inner)
    own, other = x.reshape(shape), baseline.reshape(shape)
    weight = mask[:, :, None, :, None]
    with np.errstate(all="ignore"):
        mixed = weight * (own - other) + other
        missing = np.isnan(own) | np.isnan(other)
        near = np.where(weight >= 0.5, own, other)
        made: FloatArray = np.where(weight == 1, own, np.where(missing, near, mixed))
    return made.reshape(len(mask), *x.shape)


def stretch(
    cells: FloatArray, left: IntArray, first: FloatArray, second: FloatArray, shift: IntArray, length: int
) -> FloatArray:
    """`grid_masks.stretch`: (S, B, C, A) and three vectors, (S,) give (S, B, length, A)."""
    places = shift[:, None] + np.arange(length)
    steps = np.arange(len(cells))[:, None]
    near = left[places]
    far = np.minimum(near + 1, cells.shape[2] - 1)
    here, behind = (np.moveaxis(cells, 2, 1)[steps, which] for which in (near, far))  # (S, length, B, A)
    made: FloatArray = first[places][:, :, None, None] * here + second[places][:, :, None, None] * behind
    return np.moveaxis(made, 1, 2)


def sum_masks(
    linear: FloatArray, square: FloatArray, masks: FloatArray, scores: FloatArray, origin: float
) -> None:
    """`grid_masks.sum_masks`: (1 + N, D) and (1 + 2 N, D) in place, (S, D), (S, N)."""
    for mask, own in zip(masks, scores, strict=True):
        u = mask.astype(np.float64) - origin
        squared = u * u
        linear += np.concatenate([[1.0], own])[:, None] * u
        square += np.concatenate([[1.0], own, own * own])[:, None] * squared


def draw_cells(
    seed: int,
    stream: int,
    first: int,
    steps: int,
    cells: int,
    keep: float,
    lengths: IntArray,
    dtype: np.dtype[Any],
) -> tuple[Array, IntArray]:
    """`grid_masks.draw_cells`: gives (steps, cells) and (A, steps)."""
    drawn = uniforms(seed, stream, first, steps, cells + len(lengths))
    shifts = (drawn[:, cells:] * lengths).astype(np.int64)
    return (drawn[:, :cells] < keep).astype(dtype), np.ascontiguousarray(shifts.T)

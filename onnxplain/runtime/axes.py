"""Moving the batch axis: rows come first inside this package, and lie where the model wants them outside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxplain._types import Array

__all__ = ["first", "join", "laid_out", "rows"]


def first(array: Array, axis: int | None) -> Array:
    """Bring the batch axis to the front; an array without one becomes a batch of one."""
    if axis == 0:
        return array
    moved: Array = array[None] if axis is None else np.moveaxis(array, axis, 0)
    return moved


def laid_out(array: Array, axis: int | None) -> Array:
    """Undo :func:`first`: bring rows into the layout of the model."""
    if axis == 0:
        return array
    laid: Array = array[0] if axis is None else np.moveaxis(array, 0, axis)
    return laid


def rows(array: Array, axis: int | None, n: int) -> Array:
    """Return the first n rows; an array without a batch axis is one row."""
    return array if axis is None or array.shape[axis] == n else np.take(array, np.arange(n), axis=axis)


def join(parts: Sequence[Array], axis: int | None) -> Array:
    """Join the results of several runs: along their batch axis, or else along a new first one."""
    if len(parts) == 1:
        return parts[0]
    return np.stack(parts) if axis is None else np.concatenate(parts, axis=axis)

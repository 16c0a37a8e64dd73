"""What kind of thing a sample is, told from its shape and dtype."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from onnxplain.errors import DataInputError

if TYPE_CHECKING:
    from onnxplain._types import Array

__all__ = ["KINDS", "guess_kind", "names", "without_batch_of_one"]

KINDS = ("image", "bars", "tokens", "series")
MOST_BARS = 100
MOST_CHANNELS = 4


def without_batch_of_one(values: Array, sample: Array) -> tuple[Array, Array]:
    """Drop leading axes of length 1 that no picture needs, and check that the shapes fit.

    Parameters
    ----------
    values, sample
        Attribution and input of one sample; the same shape, or one number per token.

    Returns
    -------
    values, sample : ndarray
        With one to three axes; values float64, NaN and infinities replaced by 0.

    Raises
    ------
    DataInputError
        If the shapes differ, are empty, or have too many axes.
    """
    if values.size == 0 or sample.size == 0:
        raise DataInputError(f"nothing to draw: an array of shape {values.shape} holds no values")
    if values.shape != sample.shape and math.prod(values.shape) != math.prod(sample.shape):
        raise DataInputError(
            f"values of shape {values.shape} do not fit a sample of shape {sample.shape}; "
            "give one sample of a batch, values[i] with inputs[i]"
        )
    shape = sample.shape or (1,)
    while (len(shape) > 3 or len(shape) == 2) and shape[0] == 1:
        shape = shape[1:]
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 3 and shape[:2] == (1, 1):
        shape = shape[2:]
    if len(shape) > 3:
        raise DataInputError(
            f"no picture for a sample of shape {sample.shape}: draw a slice of it with at most three axes"
        )
    shown = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return shown.reshape(shape), sample.reshape(shape)


def guess_kind(sample: Array, *, has_labels: bool = False) -> str:
    """Choose the kind of picture; the table is in :func:`onnxplain.plots.draw`."""
    if sample.ndim == 1:
        if sample.dtype.kind in "iu":
            return "tokens"
        return "bars" if has_labels or sample.size <= MOST_BARS else "series"
    if sample.ndim == 2:
        return "series" if min(sample.shape) <= MOST_CHANNELS else "image"
    return "image"


def names(labels: Iterable[object], count: int, what: str) -> list[str]:
    """Turn labels into a list of text, and check that there are enough.

    Raises
    ------
    DataInputError
        If there are more or fewer labels than ``count``.
    """
    listed = [str(label) for label in labels]
    if len(listed) != count:
        raise DataInputError(f"{len(listed)} labels for {count} {what}; give one each")
    return listed

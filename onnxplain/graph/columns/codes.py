"""Codes: for each element of a value, the only player that it depends on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxplain._types import Array, IntArray

__all__ = ["MIXED", "NOBODY", "merged", "mixed_along", "through"]

#: The element is the same whatever players bring.
NOBODY = 0
#: The element depends on several players; player k has the code ``k + 1``.
MIXED = -1


def merged(codes: Sequence[IntArray]) -> IntArray:
    """Return the codes of what is computed element by element, with broadcasting."""
    out = codes[0]
    for code in codes[1:]:
        same = (code == NOBODY) | (code == out)
        out = np.where(out == NOBODY, code, np.where(same, out, MIXED))
    return np.asarray(out, np.int64)


def mixed_along(code: IntArray, axes: tuple[int, ...] | None, *, keep: bool = True) -> IntArray:
    """Return the codes of what is computed of all elements along axes (None: all), which stay if kept."""
    large = np.iinfo(np.int64).max
    if not code.size:
        return np.zeros(code.sum(axis=axes, keepdims=keep).shape, np.int64)
    high = code.max(axis=axes, keepdims=keep)
    low = np.where(code == NOBODY, large, code).min(axis=axes, keepdims=keep)
    one = np.where(low == high, high, MIXED)
    return np.asarray(np.where(low == large, NOBODY, one), np.int64)


def through(code: IntArray, weight: Array) -> IntArray:
    """Return the codes of ``x @ W``, (..., F) and (F, C) to (..., C): weights of 0 let nothing through."""
    wide = np.where(weight != 0, code[..., None], NOBODY)
    return mixed_along(wide, (-2,), keep=False)

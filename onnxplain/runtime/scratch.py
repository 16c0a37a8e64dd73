"""Arrays that blocks of points are written to again and again, instead of new ones each time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onnxplain._types import Array, Shape

__all__ = ["Scratch"]


class Scratch:
    """One array for each name, as large as the largest block that was written.

    It belongs to one loop: what was written for a block is gone when the next one is made.
    """

    def __init__(self) -> None:
        self._held: dict[str, Array] = {}
        self._copies: dict[str, tuple[Array, Array]] = {}

    def array(self, name: str, shape: Shape, dtype: np.dtype[Any]) -> Array | None:
        """Return an array to write to, C-contiguous; None where elements are no numbers, as in texts."""
        if dtype.kind not in "biufc":
            return None
        size = math.prod(shape)
        held = self._held.get(name)
        if held is None or held.dtype != dtype or held.size < size:
            self._held.pop(name, None)  # before the larger one is there
            self._held[name] = held = np.empty(size, dtype)
        return held[:size].reshape(shape)

    def copies(self, name: str, array: Array, repeats: int) -> Array:
        """Return copies of an array, one after the other along its first axis: not to be written to.

        They are made anew only where another array is given, or more copies are wanted than there are.
        """
        of, made = self._copies.get(name, (None, array))
        if of is not array or len(made) < repeats * len(array):
            made = np.tile(array, (repeats, *(1,) * (array.ndim - 1)))
            made.flags.writeable = False
            self._copies[name] = array, made
        return made[: repeats * len(array)]

"""Arrays that blocks of points are written to again and again, instead of new ones each time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from onnxplain._types import Array, Shape
from onnxplain.kernels.cuda import Stream
from onnxplain.kernels.device_array import DeviceArray, empty

__all__ = ["DeviceScratch", "Scratch"]


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


class DeviceScratch(Scratch):
    """The same on a GPU, where one block is written while the last may still be read.

    That is in order, without a second array: the model runs on the stream on which its points are written, so
    these are written when it has read the last ones.  A second stream would let both happen at once, at twice
    the memory, but there is nothing to gain: the GPU is busy with the model then, and writing points is a
    small part of its work.  What must not happen is that it waits for the host; and the host is ahead by as
    many blocks as there are places for what goes up with them (``csrc/staging.hpp``).

    Parameters
    ----------
    stream
        Whose work reads and writes.
    """

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream
        self._there: dict[str, DeviceArray] = {}
        self._tiled: dict[str, tuple[DeviceArray, DeviceArray]] = {}

    def array(self, name: str, shape: Shape, dtype: np.dtype[Any]) -> Any:
        """Return an array on the GPU to write to."""
        size = math.prod(shape)
        held = self._there.get(name)
        if held is None or held.dtype != dtype or held.size < size:
            self._there.pop(name, None)
            self._there[name] = held = empty((size,), dtype, self._stream)
        return held[:size].reshape(shape)

    def copies(self, name: str, array: Any, repeats: int) -> Any:
        """Return copies of an array, where it is, one after the other along its first axis."""
        if not isinstance(array, DeviceArray):
            return super().copies(name, array, repeats)
        if name.startswith("baselines "):
            return array  # points are made of those there are; nothing on a device is compared with copies
        n = len(array)
        of, made = self._tiled.get(name, (None, array))
        if of is not array or len(made) < repeats * n:
            made = empty((repeats * n, *array.shape[1:]), array.dtype, self._stream)
            done = 0
            while done < repeats * n:  # twice as many each time
                more = min(max(done, n), repeats * n - done)
                made[done : done + more].copy_from(array if done == 0 else made[:more])
                done += more
            self._tiled[name] = array, made
        return made[: repeats * n]

"""What was computed last of references, or of samples, under a budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from onnxplain._types import Array, Arrays
from onnxplain.forking import Lock, leave_alive, quiet, start_over

__all__ = ["Held", "alike", "same"]

#: Arrays of which it is remembered that they were given.
_MOST_SEEN = 256


@dataclass(frozen=True)
class _Entry:
    """What was computed, and from what; and whether it was asked for again."""

    owner: object
    given: Arrays
    values: Mapping[str, ort.OrtValue]
    size: int
    recurs: bool


class Held:
    """Remembers what was computed from the arrays used last; safe to use from several threads.

    What was asked for once is remembered until something else is; what is asked for again, longer.

    Parameters
    ----------
    most
        How many results are remembered.
    budget
        Bytes that all of it may take; what is larger is not kept.
    """

    def __init__(self, most: int, budget: int) -> None:
        self._most = most
        self._budget = budget
        self._entries: tuple[_Entry, ...] = ()
        self._seen: dict[int, None] = {}
        self._lock = Lock()
        start_over(self)

    def __len__(self) -> int:
        """Return how many results are remembered."""
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return sum(entry.size for entry in self._entries)

    def get(
        self, owner: object, given: Arrays, make: Callable[[], Mapping[str, ort.OrtValue]]
    ) -> Mapping[str, ort.OrtValue]:
        """Return what is computed from some arrays, by ``make`` unless it is held.

        Parameters
        ----------
        owner
            Who computes it.
        given
            What it is computed from; compared bit for bit, so that arrays may be written to between calls.
        make
            Computes it.
        """
        for entry in self._entries:
            if entry.owner is owner and _equal(entry.given, given):
                if not entry.recurs or entry is not next(iter(self._entries), None):
                    self._keep(replace(entry, recurs=True))
                return entry.values
        kept = {k: np.array(v) for k, v in given.items()}
        values = make()
        size = sum(map(_bytes, values.values())) + sum(v.nbytes for v in kept.values())
        if size <= self._budget:
            self._keep(_Entry(owner, kept, values, size, self._recurs(kept)))
        return values

    def forget(self, owner: object) -> None:
        """Forget what one owner computed."""
        with quiet, self._lock():
            self._entries = tuple(entry for entry in self._entries if entry.owner is not owner)

    def after_fork(self, *, clean: bool) -> None:
        """Forget all: the memory belongs to sessions of the parent."""
        for entry in self._entries:
            leave_alive(entry.values)
        self._entries = ()

    def __del__(self) -> None:
        with quiet:  # memory goes back to the arena, where nobody may be while the process forks
            self.__dict__.pop("_entries", None)

    def _recurs(self, given: Arrays) -> bool:
        """Tell whether such arrays (as far as a glance shows) were given before."""
        glance = hash(tuple((k, v.shape, _glance(v).tobytes()) for k, v in given.items()))
        with self._lock():
            again = glance in self._seen
            self._seen.pop(glance, None)
            self._seen[glance] = None
            if len(self._seen) > _MOST_SEEN:
                self._seen.pop(next(iter(self._seen)))
        return again

    def _keep(self, latest: _Entry) -> None:
        """Put an entry first, and forget those used longest ago that do not fit beside the others."""
        with quiet, self._lock():
            kept, total = [latest], latest.size
            for entry in self._entries:
                known = entry.owner is latest.owner and _equal(entry.given, latest.given)
                if (
                    entry.recurs
                    and not known
                    and len(kept) < self._most
                    and total + entry.size <= self._budget
                ):
                    kept.append(entry)
                    total += entry.size
            self._entries = tuple(kept)


def same(one: Array, other: Array) -> bool:
    """Tell whether two arrays are the same to the last bit."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind not in "fiub" or one.dtype.itemsize > 8:
        return False
    bits = np.dtype(f"u{one.dtype.itemsize}")
    if not np.array_equal(_glance(one).view(bits), _glance(other).view(bits)):
        return False
    return np.array_equal(one.view(bits), other.view(bits))


def alike(array: Array, axis: int) -> bool:
    """Tell whether all rows along an axis are the same to the last bit."""
    rows = array if axis == 0 else np.moveaxis(array, axis, 0)
    if len(rows) < 2 or array.strides[axis] == 0:
        return True
    first = rows[0]
    return all(same(first, row) for row in rows[1:])


def _glance(array: Array) -> Array:
    """Return a few numbers of an array."""
    glance: Array = np.asarray(array).flat[:: max(1, array.size // 64)]
    return glance


def _equal(one: Arrays, other: Arrays) -> bool:
    return one.keys() == other.keys() and all(same(v, other[k]) for k, v in one.items())


def _bytes(value: ort.OrtValue) -> int:
    size = float(ir.DataType(value.element_type()).itemsize)  # of 4-bit types: a half
    return int(math.prod(value.shape()) * max(1.0, size))

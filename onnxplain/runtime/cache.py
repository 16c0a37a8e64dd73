"""What is made when first asked for, once, and forgotten when others were used since."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from itertools import count
from typing import Generic, TypeVar

from onnxplain.forking import Lock

__all__ = ["Cache"]

T = TypeVar("T")

#: So many stay, however large they are: one call needs several.
_LEAST = 4


class _Entry(Generic[T]):
    """One thing, and the lock under which it is made."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.held: T | None = None
        self.size = 0
        self.used = 0  # the later, the more


class Cache(Generic[T]):
    """Keeps what was used last.  Two threads may make two things at once; the same thing is made once.

    Parameters
    ----------
    most
        Things kept.
    budget
        Bytes kept, except that a few things stay in any case.
    size
        Says how many bytes a thing takes.
    """

    def __init__(self, most: int, budget: int, size: Callable[[T], int]) -> None:
        self._most = most
        self._budget = budget
        self._size = size
        self._lock = Lock()
        self._entries: dict[Hashable, _Entry[T]] = {}
        self._clock = count(1)

    def __len__(self) -> int:
        """Return how many things are held."""
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[T]:
        """Iterate over what is held, what was used last at the end."""
        return iter([entry.held for _, entry in self._made() if entry.held is not None])

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def seen(self, key: Hashable) -> T | None:
        """Return the thing of a key if it is there; it counts as used."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.used = next(self._clock)
        return entry.held

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the thing of a key, made if it is not there; what ``make`` raises leaves nothing behind."""
        with self._lock():
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry()
            entry.used = next(self._clock)
        with entry.lock():
            held = entry.held
            if held is None:
                try:
                    held = make()
                except BaseException:
                    self._forget(key, entry)
                    raise
                entry.size = self._size(held)
                entry.held = held
                self._trim()
        return held

    def _forget(self, key: Hashable, entry: _Entry[T]) -> None:
        with self._lock():
            if self._entries.get(key) is entry:
                self._entries.pop(key, None)

    def _trim(self) -> None:
        """Forget what was used longest ago; threads that still run it keep it until they are done."""
        with self._lock():
            made = self._made()
            total = sum(entry.size for _, entry in made)
            left = len(made)
            for key, entry in made:
                if left <= self._most and (total <= self._budget or left <= _LEAST):
                    return
                self._entries.pop(key, None)
                total, left = total - entry.size, left - 1

    def _made(self) -> list[tuple[Hashable, _Entry[T]]]:
        """Return what is made, by key; what was used last at the end."""
        with self._lock():
            made = [(key, entry) for key, entry in self._entries.items() if entry.held is not None]
        return sorted(made, key=lambda found: found[1].used)

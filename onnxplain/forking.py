"""Forking at a quiet moment: no thread runs or compiles, and the child starts over.

A forked child has the forking thread alone.  Locks that others held stay locked there for ever, and the
thread pools of onnxruntime's sessions are gone; destroying such a session would wait for its threads.  So
whoever runs or compiles is inside :data:`quiet`, a fork waits until nobody is, and the child forgets its
sessions without destroying them.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
import weakref
from contextlib import AbstractContextManager
from typing import Any, Protocol

__all__ = ["Forked", "Lock", "leave_alive", "quiet", "start_over"]

_LONGEST_WAIT = 60.0


class Forked(Protocol):
    """What has sessions or locks that a child must not use."""

    def after_fork(self, *, clean: bool) -> None:
        """Start over in the child; ``clean`` tells whether the fork found a quiet moment."""


class _Quiet:
    """Entered by those who run or compile (again, if need be); closed while the process forks."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._lock = (
            threading.RLock()
        )  # entered as such: no interrupt can come between taking it and holding it
        self._changed = threading.Condition(self._lock)
        self._inside = 0
        self._closed = 0
        self._closer: int | None = None
        self._clean = True
        self._mine = threading.local()

    def __enter__(self) -> None:
        depth = getattr(self._mine, "depth", 0)
        if not depth:
            with self._lock:
                while self._closed and self._closer != threading.get_ident():
                    self._changed.wait()
                self._inside += 1
        self._mine.depth = depth + 1

    def __exit__(self, *_: object) -> None:
        self._mine.depth -= 1
        if not self._mine.depth:
            with self._lock:
                self._inside -= 1
                if self._closed:  # somebody waits for this
                    self._changed.notify_all()

    def close(self) -> None:
        """Wait until nobody but this thread is inside, and let nobody in."""
        own = 1 if getattr(self._mine, "depth", 0) else 0
        end = time.monotonic() + _LONGEST_WAIT
        with self._lock:
            self._closed += 1
            self._closer = threading.get_ident()
            while self._inside > own and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            self._clean = self._inside == 0

    def open(self) -> None:
        """Let others in again, in the parent."""
        with self._lock:
            self._closed, self._closer = self._closed - 1, None
            self._changed.notify_all()

    def start_over(self) -> None:
        """Forget the parent's threads, in the child."""
        clean = self._clean
        self._reset()
        for each in list(_FORKED):
            each.after_fork(clean=clean)


#: Entered while onnxruntime or the rewriter is at work.
quiet = _Quiet()

_FORKED: weakref.WeakSet[Forked] = weakref.WeakSet()


def start_over(each: Forked) -> None:
    """Call ``each.after_fork`` in every child, as long as it lives."""
    _FORKED.add(each)


class Lock:
    """A reentrant lock that is free in a child, whoever held it: ``with lock():``.

    (An interrupt may come between two lines of Python, but not between taking a plain lock and its block.)
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        start_over(self)

    def __call__(self) -> AbstractContextManager[Any]:
        """Return the lock itself."""
        return self._lock

    def after_fork(self, *, clean: bool) -> None:
        """Forget who held it."""
        self._lock = threading.RLock()


def leave_alive(thing: object) -> None:
    """Keep a thing from ever being destroyed, not even when the process ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=quiet.close, after_in_parent=quiet.open, after_in_child=quiet.start_over)

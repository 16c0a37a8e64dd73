"""A compiled program that is compiled anew, better, once it has run so long that this pays."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from onnxplain._types import Arrays
from onnxplain.errors import InvalidModelError, ModelRunError
from onnxplain.forking import Lock, quiet
from onnxplain.runtime.relaid import Relaid, blocking, relaid
from onnxplain.runtime.session import Executable
from onnxplain.runtime.weights import WeightStore

__all__ = ["PATIENCE", "Improving", "InBlocks"]

#: How many times longer than it took to compile a program runs before it is compiled anew.  That takes some
#: three times as long as the first time and saves some tenth of each run: so the two ways of being wrong
#: (compiling anew for too few runs, running too long as it was) cost about the same.
PATIENCE = 20.0


class Improving:
    """Runs like an :class:`Executable` on the CPU, and keeps to blocked values once it runs often.

    What is compiled anew must first make the same bits of the same inputs.  Where it does not run later, the
    program as it was compiled first does.

    Parameters
    ----------
    model, weights, threads
        As for :class:`~onnxplain.runtime.session.Executable`.
    at_once
        Whether to compile it so behind the first run.

    Attributes
    ----------
    improved
        Whether it was compiled anew; None before that.
    """

    def __init__(
        self, model: ir.Model, weights: WeightStore, threads: int | None = None, *, at_once: bool = False
    ) -> None:
        self._weights, self._threads, self._at_once = weights, threads, at_once
        self._lock = Lock()
        self._spent = 0.0
        self.improved: bool | None = None
        begin = time.perf_counter()
        self._now: Executable | InBlocks = Executable(model, weights, "cpu", threads, own=True)
        self._price = time.perf_counter() - begin
        self._first = self._now.source
        self.inputs, self.outputs = self._now.inputs, self._now.outputs

    @property
    def size(self) -> int:
        """Bytes of the program and its weights."""
        return self._now.size

    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> Arrays:
        """Run once; :meth:`Executable.run` says what is returned and raised."""
        now, begin = self._now, time.perf_counter()
        try:
            made = now.run(feeds, outputs)
        except ModelRunError:
            if isinstance(now, Executable):
                raise
            now = Executable(self._first, self._weights, "cpu", self._threads)
            made = now.run(feeds, outputs)  # where this fails, too, the inputs are at fault
            self._now, self.improved = now, False
        if self.improved is None:
            self._spent += time.perf_counter() - begin
            if self._at_once or self._spent > PATIENCE * self._price:
                self._improve(feeds, made)
        return made

    def _improve(self, feeds: Arrays, made: Arrays) -> None:
        """Compile anew; other threads go on meanwhile."""
        with quiet, self._lock():
            if self.improved is not None or not isinstance(self._now, Executable):
                return
            self.improved = False
            better = self._better(self._now, feeds)
            try:
                again = better and better.run(feeds, list(made))
            except ModelRunError:
                return
            if better and again and all(np.array_equal(again[k], v, equal_nan=True) for k, v in made.items()):
                self._now, self.improved = better, True

    def _better(self, now: Executable, feeds: Arrays) -> InBlocks | None:
        free = {k for k in now.inputs if isinstance(feeds[k], ort.OrtValue)}
        shapes = {k: np.shape(np.asarray(feeds[k])) for k in now.inputs}
        found = relaid(now.load, now.options, shapes, free)
        try:
            return None if found is None else InBlocks(found, self._weights, self._threads)
        except InvalidModelError:
            return None


class InBlocks:
    """A program that keeps to blocked values, and takes some inputs in blocks.

    These stay the same from run to run (activations at a reference): the last ones are kept in blocks,
    beside what the caller holds.
    """

    def __init__(self, found: Relaid, weights: WeightStore, threads: int | None) -> None:
        self._run = Executable(found.model, weights, "cpu", threads, own=True, optimise=False)
        names = list(found.blocked)
        self._names = names
        self._block = Executable(blocking(names), weights, "cpu", threads, optimise=False) if names else None
        self._last: tuple[list[Any], dict[str, Any]] = ([], {})

    @property
    def size(self) -> int:
        """Bytes of the program and its weights."""
        return self._run.size

    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> Arrays:
        """Run once."""
        if self._block is None:
            return self._run.run(feeds, outputs)
        given, (last, blocked) = [feeds[k] for k in self._names], self._last
        if not all(a is b for a, b in zip(given, last, strict=False)) or not last:
            made = self._block.run_on_device({k: feeds[k] for k in self._names}, self._block.outputs)
            blocked = {k: made[f"{k}/blocked"] for k in self._names}
            self._last = given, blocked
        return self._run.run({**feeds, **blocked}, outputs)

    def __del__(self) -> None:
        with quiet:  # memory goes back to the arena, where nobody may be while the process forks
            self.__dict__.pop("_last", None)

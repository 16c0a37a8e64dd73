"""A compiled program that is compiled anew, better, once it has run so long that this pays."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal

import onnx_ir as ir
import onnxruntime as ort

from onnxplain._types import Arrays
from onnxplain.errors import InvalidModelError, ModelRunError
from onnxplain.forking import Lock, quiet
from onnxplain.runtime.relaid import relaid
from onnxplain.runtime.session import Executable
from onnxplain.runtime.weights import Weight, WeightStore

__all__ = ["PATIENCE", "Improving"]

#: How many times longer than it took to compile a program runs before it is compiled anew.  That takes some
#: three times as long as the first time and saves some tenth of each run: so the two ways of being wrong
#: (compiling anew for too few runs, running too long as it was) cost about the same.
PATIENCE = 20.0


class Improving(Executable):
    """One graph on the CPU, with our own operators, which keeps to blocked values once it runs often.

    The results have the same bits before and after.  Where what was compiled anew does not run, the program
    as it was compiled first does.

    Parameters
    ----------
    model, weights, threads
        As for :class:`~onnxplain.runtime.session.Executable`.
    at_once
        Whether to compile it so at once.
    """

    _own = True

    def __init__(
        self, model: ir.Model, weights: WeightStore, threads: int | None = None, *, at_once: bool = False
    ) -> None:
        self._store = weights
        self._lock = Lock()
        self._spent = 0.0
        self._stage: Literal["first", "improved", "final"] = "first"
        begin = time.perf_counter()
        super().__init__(model, weights, "cpu", threads)
        self._price = time.perf_counter() - begin
        if at_once:
            self._improve()

    def run(self, feeds: Arrays, outputs: Sequence[str] | None = None) -> Arrays:
        """Run once; :meth:`Executable.run` says what is returned and raised."""
        if self._stage == "final":
            return super().run(feeds, outputs)
        stage, begin = self._stage, time.perf_counter()
        try:
            made = super().run(feeds, outputs)
        except ModelRunError:
            if stage != "improved":
                raise
            self._go_back()
            made = super().run(feeds, outputs)  # where this fails, too, the inputs are at fault
            self._stage = "final"
        if stage == "first":
            self._spent += time.perf_counter() - begin
            if self._spent > PATIENCE * self._price:
                self._improve()
        return made

    def _hold(self, session: Any, content: bytes, shared: dict[str, Weight]) -> None:  # type: ignore[override]
        super()._hold(session, content, shared)
        if self._stage == "first":
            self._first = content, shared

    def _improve(self) -> None:
        """Compile anew; other threads go on meanwhile."""
        with self._lock():
            if self._stage != "first":
                return
            with quiet:
                made = relaid(lambda options: self._load(*self._first, options), self._options)
            if made is None:
                self._stage = "final"
                return
            content, shared = self._store.serialize(made)
            options = self._options()
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
            try:
                session = self._load(content, shared, options)
            except InvalidModelError:
                self._stage = "final"
                return
            self._stage = "improved"
            self._hold(session, content, shared)

    def _go_back(self) -> None:
        """Run what was compiled first, again."""
        with self._lock():
            if self._stage == "improved":
                self._hold(self._load(*self._first, self._options()), *self._first)
                self._stage, self._spent = "first", 0.0

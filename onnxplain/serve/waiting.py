"""Requests that wait, and the threads that answer them: alike ones together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

from onnxplain.serve.asked import Answer, Asked, Served
from onnxplain.serve.metrics import Meters
from onnxplain.serve.refusals import RefusedError, refusal_of
from onnxplain.serve.settings import Settings
from onnxplain.serve.together import answer_together

__all__ = ["Desk"]

_LOG = logging.getLogger("onnxplain.serve")


@dataclass(eq=False)
class _Item:
    """A request that waits."""

    asked: Asked
    ends: float
    future: Future[Answer] = field(default_factory=Future)

    @property
    def late(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.future.cancelled() or time.monotonic() >= self.ends

    def tell(self, outcome: Answer | Exception) -> None:
        """Hand out what came of it, to whoever still waits."""
        with contextlib.suppress(InvalidStateError):  # nobody does
            if isinstance(outcome, Exception):
                self.future.set_exception(outcome)
            else:
                self.future.set_result(outcome)


class Desk:
    """Where requests for one served thing wait in line, for some threads that answer.

    Whoever comes while a thread is free is answered at once.  Where requests wait, a thread takes the first
    with all that may be answered together with it.

    Parameters
    ----------
    served
        What answers.
    settings
        Threads, samples at once, length of the line, seconds.
    meters
        What is counted.
    """

    def __init__(self, served: Served, settings: Settings, meters: Meters) -> None:
        self.served, self._settings, self._meters = served, settings, meters
        self._line: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._inside = 0
        self._open = True
        for k in range(settings.workers):
            name = f"{served.name}-{k}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    async def ask(self, asked: Asked) -> Answer:
        """Wait for the answer to a prepared request.

        Raises
        ------
        RefusedError
            If the line is full, the time is over, or the request cannot be answered.
        """
        item = _Item(asked, time.monotonic() + self._settings.timeout)
        with self._changed:
            if not self._open:
                raise RefusedError(503, "the server is stopping")
            if self._inside >= self._settings.queue:
                raise RefusedError(503, f"{self._inside} requests wait already; try again later")
            self._inside += 1
            self._meters.waiting(self.served.name, self._inside)
            self._line.append(item)
            self._changed.notify()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(item.future), self._settings.timeout)
        except (TimeoutError, asyncio.TimeoutError):
            raise self._late() from None

    def close(self) -> None:
        """Let nobody in any more, and let the threads end when they have done what waits."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def _late(self) -> RefusedError:
        return RefusedError(
            504, f"no answer within {self._settings.timeout:g} seconds; send fewer samples at once"
        )

    def _work(self) -> None:
        while (items := self._take()) is not None:
            self._serve(items)

    def _serve(self, items: list[_Item]) -> None:
        try:
            self._answer([i for i in items if not self._dropped(i)])
        except Exception as error:
            _LOG.exception("'%s' could not answer", self.served.name)
            for item in items:
                item.tell(refusal_of(error))
        finally:
            with self._changed:
                self._inside -= len(items)
                self._meters.waiting(self.served.name, self._inside)

    def _dropped(self, item: _Item) -> bool:
        """Tell whether a request is not begun any more."""
        if item.late:
            item.tell(self._late())
        return item.future.done() or not item.future.set_running_or_notify_cancel()

    def _take(self) -> list[_Item] | None:
        """Wait for the first in line, and take those along that may be answered with it; None at the end."""
        with self._changed:
            while not self._line:
                if not self._open:
                    return None
                self._changed.wait()
            first = self._line.popleft()
            taken, place = [first], first.asked.company
            if place is None:
                return taken
            room, left = self._settings.max_batch - place.n, []
            for item in self._line:
                other = item.asked.company
                if other is not None and other.key == place.key and other.n <= room:
                    taken.append(item)
                    room -= other.n
                else:
                    left.append(item)
            self._line = deque(left)
            return taken

    def _answer(self, items: list[_Item]) -> None:
        answers: list[Answer] | None = None
        if len(items) > 1:
            # one of them may be at fault: then each is answered for itself
            with contextlib.suppress(Exception):
                answers = answer_together(self.served, [i.asked for i in items])
        if answers is not None:
            self._meters.answered_together(self.served.name, len(items))
            for item, answer in zip(items, answers, strict=True):
                item.tell(answer)
            return
        for item in items:
            item.tell(self._late() if item.late else self._alone(item.asked))

    def _alone(self, asked: Asked) -> Answer | RefusedError:
        self._meters.answered_together(self.served.name, 1)
        try:
            return self.served.answer(asked)
        except Exception as error:
            told = refusal_of(error)
            if told.status == 500:
                _LOG.exception("'%s' could not answer", self.served.name)
            return told

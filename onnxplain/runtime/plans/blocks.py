"""How a loop over points is cut into blocks: in a long one the fastest size is found by trial.

Sizes are doubled, or else halved, as long as that pays.  Before a size is used, points that were answered
already are asked again in a block of it: it counts only if all bits are the same, so that no result depends
on how fast the machine was.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from onnxplain._types import Array
from onnxplain.backward.asks import Ask
from onnxplain.runtime.plans.plan import Answers, InOrder, Sums
from onnxplain.runtime.problem import Problem
from onnxplain.runtime.room import Room

__all__ = ["Blocks"]

_LONG = 32  # blocks from which on a trial pays
_SHARE = 0.1  # of all points, at most so many are asked twice
_BETTER = 0.95  # of the time for a point
_ROUNDS = 3  # in which a size is timed; the fastest counts
_MOST_KNOWN = 256  # kinds of calls whose sizes are remembered
_SPAN = 2  # blocks of the usual size whose points a round takes: as many of any smaller size


class Blocks:
    """The blocks of one loop.

    Parameters
    ----------
    problem
        The rows, all of which are asked about at each point.
    ask
        What the model is asked; None if a method asks it.
    count
        How many points there are.
    at_once
        How many of them are usually asked about at once.
    answer
        Asks about some of the points.
    sums
        Where answers go.
    done
        Is told of points that are done with: how many, and of how many rows a block is.
    """

    def __init__(
        self,
        problem: Problem,
        ask: Ask | None,
        count: int,
        at_once: int,
        answer: Callable[[slice], Answers],
        sums: Sums,
        done: Callable[[int, int], None],
    ) -> None:
        driver, self._n = problem.driver, max(problem.n, 1)
        self._ask, self._count = ask, count
        self._usual = self._size = at_once
        self._answer, self._sums, self._tell = answer, sums, done
        tries = ask is not None and isinstance(sums, InOrder) and driver.layout.exact is None
        self._room = driver.room if tries and isinstance(driver.room, Room) else None
        if self._room is not None and ask is not None and self._room.most(ask) <= self._room.usual(ask):
            self._room = None  # given, or no more fit
        self._known = driver.programs.fastest
        features = tuple((k, v.shape[1:]) for k, v in problem.features.items())
        fixed = tuple((k, v.shape) for k, v in driver.fixed.items())
        self._key = driver.question, ask, features, fixed
        self._first = self._again = 0
        self._short = False  # whether a trial ended because too few points were left
        self._last: Answers | None = None

    def run(self) -> None:
        """Ask about all points, and add the answers up."""
        if self._room is not None:
            if self._key in self._known:
                self._use(max(1, min(self._most, self._known[self._key] // self._n)))
            elif self._count >= _LONG * self._size:
                self._try()
                if not self._short:
                    if len(self._known) >= _MOST_KNOWN:
                        self._known.clear()
                    self._known[self._key] = self._size * self._n
        while self._first < self._count:
            self._next()
        if self._room is not None and self._ask is not None:
            self._room.chosen.pop(self._ask, None)

    @property
    def _most(self) -> int:
        """How many points fit at once."""
        assert self._room is not None
        assert self._ask is not None
        return max(1, self._room.most(self._ask) // self._n)

    def _try(self) -> None:
        """Find the fastest size."""
        self._next()  # what is made once is made now
        best = self._timed()
        for double in (True, False):
            before = self._size
            while True:
                usual, size = self._size, 2 * self._size if double else self._size // 2
                if not 1 <= size <= self._most or not self._same(size):
                    break
                taken = self._timed()
                if taken > _BETTER * best:
                    self._use(usual)
                    break
                best = taken
            if self._size != before:
                break

    def _same(self, size: int) -> bool:
        """Ask about points in a block of another size, of which some are known: whether it may be used."""
        assert self._last is not None
        known = min(max(1, size // 2), self._size)
        enough = self._count - self._first >= size + _ROUNDS * self._span(size)
        if not enough or self._again + known > _SHARE * self._count:
            self._short = True
            return False
        usual, steps = self._size, slice(self._first - known, self._first - known + size)
        self._use(size)
        answers = self._answer(steps)
        self._again += known
        if not _alike(answers.part(slice(None, known)), self._last.part(slice(-known, None))):
            self._use(usual)
            return False
        if size > known:
            self._add(slice(self._first, steps.stop), answers.part(slice(known, None)))
        return True

    def _timed(self) -> float:
        """Return how long a point takes."""
        best, blocks = float("inf"), self._span(self._size) // self._size
        for _ in range(_ROUNDS):
            begin = time.perf_counter()
            for _ in range(blocks):
                self._next()
            best = min(best, time.perf_counter() - begin)
        return best / (blocks * self._size)

    def _span(self, size: int) -> int:
        """Return how many points a round takes."""
        return max(1, _SPAN * self._usual // size) * size

    def _next(self) -> None:
        steps = slice(self._first, min(self._first + self._size, self._count))
        self._last = None
        self._add(steps, self._answer(steps))

    def _add(self, steps: slice, answers: Answers) -> None:
        self._sums.add(steps, answers)
        self._first, self._last = steps.stop, answers
        self._tell(steps.stop - steps.start, self._size * self._n)

    def _use(self, size: int) -> None:
        """Ask about so many points at once from now on."""
        assert self._room is not None
        assert self._ask is not None
        self._size = size
        self._room.chosen[self._ask] = size * self._n


def _alike(one: Answers, other: Answers) -> bool:
    """Tell whether answers are the same, bit by bit."""

    def bits(array: Array | None) -> bytes | None:
        return None if array is None else array.tobytes()

    pairs = [(one.score, other.score), (one.reference, other.reference)]
    for of, others in ((one.values, other.values), (one.probed, other.probed)):
        pairs += [(of[name], others[name]) for name in of]
    return all(bits(a) == bits(b) for a, b in pairs)

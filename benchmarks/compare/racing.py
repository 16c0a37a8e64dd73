"""Run jobs in turn, round by round, and keep every time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from benchmarks.compare.settings import Entrant, Job
from benchmarks.timing import PAUSE

__all__ = ["Clock", "Timed", "Times", "fastest", "raced"]

Clock: TypeAlias = Callable[[], float]

#: A turn lasts at least so long: jobs of microseconds are repeated within it.
_TURN = 0.02
#: What takes longer has no need of a second run to warm up.
_LONG = 2.0


@dataclass(frozen=True)
class Times:
    """Seconds of each job in each round, the same rounds for all."""

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Return a job's median."""
        return statistics.median(self.seconds[name])

    def least(self, name: str) -> float:
        """Return a job's fastest round."""
        return min(self.seconds[name])

    def ratio(self, name: str, unit: str) -> float:
        """Return the median, over rounds, of how many times as long a job took as another one."""
        return statistics.median(a / b for a, b in self._pairs(name, unit))

    def extra(self, name: str, unit: str) -> float:
        """Return the median, over rounds, of the seconds that a job took more than another one."""
        return statistics.median(a - b for a, b in self._pairs(name, unit))

    def _pairs(self, name: str, unit: str) -> Any:
        return zip(self.seconds[name], self.seconds[unit], strict=True)


class Timed:
    """A job, and how often it runs in a turn.

    A job of less than 20 ms runs once before its turn, as caches and threads rest in the pause, and is
    repeated within it.

    Parameters
    ----------
    job
        Which has run before, to warm up.
    expected
        The seconds that it took then.
    clock
        What tells the seconds.
    """

    def __init__(self, job: Job, expected: float = 0.0, clock: Clock = time.perf_counter) -> None:
        self._job, self._clock = job, clock
        self.expected = expected if expected > _LONG else _once(job)
        self._repeats = max(1, round(_TURN / max(self.expected, 1e-6)))

    def turn(self) -> float:
        """Pause, run, and return the seconds of one run, the median of those within the turn."""
        time.sleep(PAUSE)
        if self._repeats > 1:
            self._job()
        return statistics.median(_once(self._job, self._clock) for _ in range(self._repeats))


def raced(
    jobs: Mapping[str, Job],
    rounds: int,
    seconds: float,
    expected: Mapping[str, float] | None = None,
    clock: Clock = time.perf_counter,
) -> Times:
    """Run all jobs in each round, one after the other, with a pause between; see :class:`Timed`.

    Parameters
    ----------
    jobs
        By name.
    rounds
        At most.
    seconds
        No round begins that would not end within this time, but for the first.
    expected
        The seconds of each job's first run.
    clock
        What tells the seconds of a job.
    """
    timed = {name: Timed(job, (expected or {}).get(name, 0.0), clock) for name, job in jobs.items()}
    kept: dict[str, list[float]] = {name: [] for name in jobs}
    began = time.perf_counter()
    for number in range(max(rounds, 1)):
        if number and (time.perf_counter() - began) * (number + 1) / number > seconds:
            break
        for name, job in timed.items():
            kept[name].append(job.turn())
    return Times(kept)


def fastest(variants: Mapping[str, Job]) -> Entrant:
    """Run each, a short one twice, and return the fastest, which says that it is."""
    taken = {}
    for name, job in variants.items():
        first = _once(job)
        taken[name] = first if first > _LONG else _once(job)
    best = min(taken, key=lambda name: taken[name])
    return Entrant(
        variants[best], f"{best}, the fastest of {', '.join(variants)}" if len(taken) > 1 else best
    )


def _once(job: Job, clock: Clock = time.perf_counter) -> float:
    begin = clock()
    job()
    return clock() - begin

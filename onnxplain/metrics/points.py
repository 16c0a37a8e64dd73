"""At which points metrics ask for scores, and how the answers are gathered: plans, as methods have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from onnxplain._types import Array, Arrays, IntArray
from onnxplain.runtime.problem import Problem

__all__ = ["Made", "Without"]


@dataclass(frozen=True, eq=False)
class Without:
    """The rows without some of their players.

    Attributes
    ----------
    steps
        How many points there are for each row.
    kept
        Which players stay: from some of the steps and the numbers of rows (r,) to bool (m, r, P), or
        (m, 1, P).
    """

    steps: int
    kept: Callable[[slice, IntArray], Array]

    def count(self, problem: Problem) -> int:
        """Return the number of points for a row."""
        return self.steps

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Take players away; the baselines stand there."""
        kept = self.kept(steps, problem.rows)
        return problem.at(problem.players.chosen(problem.features, problem.baselines, kept), len(kept))


@dataclass(frozen=True, eq=False)
class Made:
    """Points that a function makes.

    Attributes
    ----------
    steps
        How many there are for each row.
    make
        From a problem of some rows (``problem.rows`` are their numbers) and some of the steps to arrays
        (m * r, ...) by feature, all rows of a step next to each other.
    """

    steps: int
    make: Callable[[Problem, slice], Arrays]

    def count(self, problem: Problem) -> int:
        """Return the number of points for a row."""
        return self.steps

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Make some of the points."""
        return problem.at(self.make(problem, steps), steps.stop - steps.start)

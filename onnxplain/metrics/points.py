"""At which points metrics ask for scores, and how the answers are gathered: plans, as methods have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.runtime.plans.plan import Answers, Found
from onnxplain.runtime.problem import Problem

__all__ = ["Gathered", "Made", "Without"]


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


@dataclass(frozen=True)
class Gathered:
    """All scores as they are: ``extras["scores"]``, float64 (n, count)."""

    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Return False."""
        return False

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _Scores:
        """Begin with nothing."""
        return _Scores(np.full((problem.n, count), np.nan))


@dataclass
class _Scores:
    scores: FloatArray

    def add(self, steps: slice, answers: Answers) -> None:
        assert answers.score is not None
        self.scores[:, steps] = answers.score.T

    def found(self) -> Found:
        return Found({}, extras={"scores": self.scores})

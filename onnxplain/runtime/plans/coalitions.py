"""Games: rows of which some players are kept, and what a solver makes of the scores there."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.backward.asks import Scores
from onnxplain.runtime.plans.combinations import float_like
from onnxplain.runtime.plans.moving import OnDevice, only_numbers
from onnxplain.runtime.plans.plan import Answers, Found, InOrder, Plan, SamePlayers
from onnxplain.runtime.plans.run import run
from onnxplain.runtime.problem import Problem

__all__ = ["Coalitions", "Draw", "Drawn", "Listed", "Played", "Solved", "Solver", "play"]


class Draw(Protocol):
    """Chooses coalitions, the same for all rows: frozen data, the same bits each time."""

    def count(self, players: int) -> int:
        """Return how many coalitions of so many players there are."""

    def kept(self, players: int, which: slice) -> Array:
        """Return some of them, bool (m, players): who stays."""


@dataclass(frozen=True, eq=False)
class Listed:
    """Coalitions that are written down, bool (K, players)."""

    sets: Array

    def count(self, players: int) -> int:
        """Return K."""
        return len(self.sets)

    def kept(self, players: int, which: slice) -> Array:
        """Return some of the rows."""
        return self.sets[which]


@dataclass(frozen=True)
class Drawn(OnDevice):
    """Coalitions that are drawn, each against every row of the background.

    Whoever is absent is replaced by the baseline, or by a row of the background: the points of a coalition
    lie next to each other, one for each of these rows.

    Attributes
    ----------
    draw
        Which.
    """

    draw: Draw

    def count(self, problem: Problem) -> int:
        """Return the number of coalitions times that of background rows."""
        return self.count_of(problem.players.count) * backgrounds(problem)

    def count_of(self, players: int) -> int:
        """Return the number of coalitions of so many players."""
        return self.draw.count(players)

    def held_back(self, problem: Problem) -> str | None:
        """Say which feature cannot be moved on a GPU."""
        return only_numbers(problem)

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Keep the players of some coalitions."""
        places = np.arange(steps.start, steps.stop)
        coalition, row = np.divmod(places, backgrounds(problem))
        first, last = int(coalition[0]), int(coalition[-1])
        kept = self.members(problem.players.count, slice(first, last + 1))[coalition - first][:, None]
        players, out, which = problem.players, problem.written(len(places)), None
        instead = problem.baselines
        if problem.background:  # (M, 1, ...)
            instead = {k: v.reshape(len(v), 1, *v.shape[1:]) for k, v in problem.background.items()}
            which = row
        return problem.at(players.chosen(problem.features, instead, kept, out, which), len(places))

    def members(self, players: int, which: slice) -> Array:
        """Return some of the coalitions, bool (m, players)."""
        return self.draw.kept(players, which)


@dataclass(frozen=True)
class Coalitions(Drawn, SamePlayers):
    """The empty coalition, then those that are drawn."""

    def count_of(self, players: int) -> int:
        """Return the number of coalitions of so many players, the empty one too."""
        return self.draw.count(players) + 1

    def members(self, players: int, which: slice) -> Array:
        """Return some of the coalitions, bool (m, players), counted with the empty one."""
        drawn = self.draw.kept(players, slice(max(which.start - 1, 0), which.stop - 1))
        return drawn if which.start else np.concatenate([np.zeros((1, players), bool), drawn])


@dataclass(frozen=True)
class MeanScores:
    """The scores of coalitions, means over the background: ``extras["scores"]``, float64 (n, K)."""

    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Return False."""
        return False

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _Scores:
        """Begin with zeros."""
        rows = backgrounds(problem)
        return _Scores(np.zeros((count // rows, problem.n)), rows)


@dataclass
class _Scores(InOrder):
    scores: FloatArray
    rows: int

    def add(self, steps: slice, answers: Answers) -> None:
        assert answers.score is not None
        first, offset = divmod(steps.start, self.rows)
        last, n = -(-steps.stop // self.rows), self.scores.shape[1]
        shares: FloatArray = np.zeros((last - first, self.rows, n))
        places = slice(offset, offset + len(answers.score))
        np.divide(answers.score, self.rows, out=shares.reshape(-1, n)[places], dtype=np.float64)
        if offset:  # of a coalition that an earlier block began
            shares[0, offset - 1] = self.scores[first]
        # One after the other, however they are cut into blocks; a single column would be summed in pairs.
        self.scores[first:last] = shares.sum(1) if n > 1 else shares.cumsum(1)[:, -1]

    def found(self) -> Found:
        return Found({}, extras={"scores": self.scores.T})


def play(draw: Draw, problem: Problem, what: str = "coalitions") -> FloatArray:
    """Return the scores of coalitions, float64 (K, n): means over the background."""
    if not draw.count(problem.players.count):
        return np.zeros((0, problem.n))
    return np.asarray(run(Plan(Drawn(draw), Scores(), MeanScores(), what), problem).extras["scores"].T)


@dataclass(frozen=True, eq=False)
class Played:
    """Scores of coalitions of P players, for n rows; means over the background.

    Attributes
    ----------
    scores
        float64 (K, n): those that were drawn.
    full
        float64 (n,): with all players.
    players
        P.
    empty
        float64 (n,): without any player; None if it is not known.
    """

    scores: FloatArray
    full: FloatArray
    players: int
    empty: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Solved:
    """What a solver found.

    Attributes
    ----------
    values
        float64 (n, P).
    errors
        Standard errors, (n, P); None if none are known.
    extras
        Arrays (n, ...) by name, or dicts of such.
    """

    values: FloatArray
    errors: FloatArray | None = None
    extras: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Solver(abc.ABC):
    """A combination that gives players their values, once the scores of all coalitions are known."""

    keeps_sums: ClassVar[bool] = False

    #: Whether the values sum to the score of the row, less that without any player.
    sums: ClassVar[bool] = False

    @abc.abstractmethod
    def solve(self, played: Played) -> Solved:
        """Return the value of each player."""

    def linear(self, played: Played) -> Solved:
        """Return the value of each player, of scores whose link was taken already."""
        return self.solve(played)

    def ends(self, *, checked: bool) -> bool:
        """Return True: the score with all players is that of the row itself."""
        return True

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _Scored:
        """Begin with no scores."""
        rows = backgrounds(problem)
        return _Scored(np.zeros((count // rows, problem.n)), rows, self, problem, problem.scores())


@dataclass
class _Scored(_Scores):
    solver: Solver
    problem: Problem
    full: FloatArray

    def found(self) -> Found:
        problem = self.problem
        full = self.full.astype(np.float64)
        played = Played(self.scores[1:], full, problem.players.count, self.scores[0])
        solved = self.solver.solve(played)
        values = problem.players.spread(solved.values)
        errors = None if solved.errors is None else problem.players.spread(solved.errors)
        made = {k: v.astype(float_like(problem.features[k])) for k, v in values.items()}
        return Found(made, errors=errors, extras=solved.extras)


def backgrounds(problem: Problem) -> int:
    """Return how many rows stand for those who are absent: 1 baseline, or the background's."""
    return len(next(iter(problem.background.values()), (None,)))

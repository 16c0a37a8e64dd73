"""The loop that plays games: rounds of coalitions, until the players' values are known well enough."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.runtime.plans.coalitions import Draw, Listed, Played, Solver, play
from onnxplain.runtime.plans.coalitions import Solved as Solution
from onnxplain.runtime.plans.combinations import float_like
from onnxplain.runtime.plans.links import LINKS, Link
from onnxplain.runtime.plans.plan import Found
from onnxplain.runtime.plans.run import joined
from onnxplain.runtime.problem import Problem

__all__ = ["Design", "Designed", "Solved", "doubling", "settle"]

#: Scores of coalitions that are held at once.
_HELD = 1 << 22


@dataclass(frozen=True, eq=False)
class Solved:
    """What is known of n rows' P players.

    Attributes
    ----------
    values
        float64 (n, P).
    errors
        Standard errors, (n, P): 0 where values are exact.
    extras
        Arrays (n, ...) by name.
    """

    values: FloatArray
    errors: FloatArray
    extras: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def exact(cls, values: FloatArray, **extras: Array) -> Solved:
        """Make it of values without error."""
        return cls(values, np.zeros_like(values), extras)


class Design(Protocol):
    """Chooses coalitions round by round, none of them empty or full, and makes values of their scores."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many coalitions each round has."""

    def draw(self, number: int) -> Draw:
        """Return the coalitions of a round."""

    def solve(self, scores: FloatArray, empty: FloatArray, full: FloatArray) -> Solved:
        """Return the value of each player; they sum to ``full - empty``.

        Parameters
        ----------
        scores
            (K, n): of all coalitions of the first rounds, as many as were played.
        empty, full
            (n,): without all players, and with all.
        """


@dataclass(frozen=True)
class Designed(Solver):
    """A design whose coalitions are all asked at once.

    Attributes
    ----------
    design
        What makes values of their scores.
    link
        The value of a coalition is that of its score.
    """

    design: Design
    link: Link = "identity"
    sums: ClassVar[bool] = True

    def solve(self, played: Played) -> Solution:
        """Return the value of each player."""
        of = LINKS[self.link]
        assert played.empty is not None
        known = Played(of(played.scores), of(played.full), played.players, of(played.empty))
        return self.linear(known)

    def linear(self, played: Played) -> Solution:
        """Return the value of each player, of scores whose link was taken already."""
        assert played.empty is not None
        solved = self.design.solve(played.scores, played.empty, played.full)
        return Solution(solved.values, solved.errors, dict(solved.extras))


def doubling(total: int, first: int | None) -> tuple[int, ...]:
    """Cut a budget into rounds that double what is spent; None: into a single one."""
    spent, rounds = 0, []
    while spent < total:
        size = total if first is None else min(max(first, spent), total - spent)
        rounds.append(size)
        spent += size
    return tuple(rounds)


def settle(
    problem: Problem, design: Design, link: Link = "identity", tol: float | None = None, what: str = "game"
) -> Found:
    """Play a game for all rows.

    Parameters
    ----------
    problem
        The rows, their players, and what stands for those who are absent.
    design
        Which coalitions, and what to make of them.
    link
        The value of a coalition is that of its score (the mean over the background).
    tol
        A row is done once the standard errors of all its players are at most this part of the largest
        magnitude of its values; rows that are done are not asked again.  None: all rounds are played.
    what
        What bars are called.

    Raises
    ------
    NotFiniteError
        If a link is infinite.
    """
    most = max(1, _HELD // max(sum(design.sizes), 1))
    if problem.n <= most:
        return _settled(problem, design, link, tol, what)
    problem.scores()  # of all rows, whose parts then know them
    starts = range(0, problem.n, most)
    return joined([_settled(problem.take(slice(k, k + most)), design, link, tol, what) for k in starts])


def _settled(problem: Problem, design: Design, link: Link, tol: float | None, what: str) -> Found:
    n, count = problem.n, problem.players.count
    of = LINKS[link]
    full = of(problem.scores().astype(np.float64))
    empty = of(play(Listed(np.zeros((1, count), bool)), problem, what)[0])
    rows = np.arange(n)
    scores = np.zeros((0, n))
    made: dict[str, Array] = {}
    for number in range(max(len(design.sizes), 1)):
        part = problem if len(rows) == n else problem.take(rows)
        if design.sizes:
            scores = np.concatenate([scores, of(play(design.draw(number), part, what))])
        solved = design.solve(scores, empty[rows], full[rows])
        _put(made, "values", rows, n, solved.values)
        _put(made, "errors", rows, n, solved.errors)
        for key, array in solved.extras.items():
            _put(made, f"extras {key}", rows, n, array)
        if tol is not None:
            _put(made, "extras n_samples", rows, n, np.full(len(rows), len(scores)))
        going = ~_known(solved, tol)
        if not going.any():
            break
        if number + 1 < len(design.sizes):
            rows, scores = rows[going], scores[:, going]
    return _found(problem, made, full - empty, _short(tol, going))


def _put(made: dict[str, Array], key: str, rows: Array, n: int, array: Array) -> None:
    if key not in made:
        made[key] = np.zeros((n, *array.shape[1:]), array.dtype)
    made[key][rows] = array


def _known(solved: Solved, tol: float | None) -> Array:
    """Tell which rows are known well enough."""
    if tol is None:
        return np.zeros(len(solved.values), bool)
    largest = np.abs(solved.values).max(1, initial=0.0)
    return np.asarray((solved.errors <= tol * largest[:, None]).all(1))


def _short(tol: float | None, going: Array) -> tuple[str, ...]:
    if tol is None or not going.any():
        return ()
    rows = f"{int(going.sum())} rows" if going.sum() > 1 else "1 row"
    return (f"tol={tol:g} was not reached in {rows} when the budget was spent; see the standard errors",)


def _found(problem: Problem, made: dict[str, Array], surplus: FloatArray, notes: tuple[str, ...]) -> Found:
    kinds = {k: float_like(v) for k, v in problem.features.items()}
    spread = problem.players.spread(made["values"])
    prefix = "extras "
    return Found(
        {k: v.astype(kinds[k]) for k, v in spread.items()},
        surplus,
        errors=problem.players.spread(made["errors"]),
        extras={k.removeprefix(prefix): v for k, v in made.items() if k.startswith(prefix)},
        total=None if problem.grouping is None else made["values"].sum(1),
        notes=notes,
    )

"""What all methods that play games have in common."""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from onnxplain._types import Arrays
from onnxplain.backward.asks import Scores
from onnxplain.errors import DataInputError
from onnxplain.features.players import Players, elements
from onnxplain.methods.base import Method
from onnxplain.runtime.plans.coalitions import Coalitions, Listed
from onnxplain.runtime.plans.combinations import float_like
from onnxplain.runtime.plans.games.settle import Design, Designed, settle
from onnxplain.runtime.plans.links import Link
from onnxplain.runtime.plans.plan import Found, Plan
from onnxplain.runtime.plans.run import apart
from onnxplain.runtime.problem import Problem

__all__ = ["SOLVED", "Game", "few"]

#: Players that a regression takes.
SOLVED = 4096


@dataclass(frozen=True)
class Game(Method, abc.ABC):
    """A method whose players are kept or taken away, and share out ``v(N) - v({})``.

    The value v(S) of a coalition is ``link`` of the score, where those who are absent are replaced by the
    baseline, or of the mean of such scores over the rows of a background (arrays given as baselines).
    Coalitions are the same for all rows.  Only scores are asked for, so any model will do.
    """

    takes_baselines: ClassVar[bool] = True
    takes_background: ClassVar[bool] = True
    takes_players: ClassVar[bool] = True
    sums_to: ClassVar[str] = "score - (mean) score of the baselines"
    link: Link = "identity"

    def needs(self) -> Scores:
        """Ask for scores."""
        return Scores()

    @abc.abstractmethod
    def design(self, players: int) -> Design:
        """Return which coalitions of so many players are asked for, and what is made of them."""

    @property
    def stop(self) -> float | None:
        """At which error to stop; None: when the design is at its end."""
        return None

    #: Whether who brings nothing else than the baseline, or the background, is left out: its value is 0.
    leaves_out: ClassVar[bool] = True

    def plan_for(
        self, players: Players | None, features: Arrays, background: Arrays
    ) -> tuple[Plan, Players] | None:
        """Return all rounds as one; None where the game stops when its values are known well enough."""
        players = players or elements(features)
        return self.at_once(self.design(players.count), players)

    def at_once(self, design: Design, players: Players) -> tuple[Plan, Players] | None:
        """Return the plan that asks for all of a design's coalitions; None where the game may stop before."""
        if self.stop is not None:
            return None
        count = players.count
        drawn = [design.draw(k).kept(count, slice(0, size)) for k, size in enumerate(design.sizes)]
        sets = Listed(np.concatenate([np.zeros((0, count), bool), *drawn]))
        return Plan(Coalitions(sets), Scores(), Designed(design, self.link), self.name), players

    def attribute(self, problem: Problem) -> Found:
        """Play the game for all rows."""
        problem = problem.resolved()
        alone = problem.grouping is None  # each element plays for itself
        if self.leaves_out:
            background = problem.background
            rows = len(next(iter(background.values()), ()))
            instead = [{k: v[j] for k, v in background.items()} for j in range(rows)] or [problem.baselines]
            problem = replace(problem, grouping=problem.players.moving(problem.features, instead))
        found = apart(problem, self.play)
        return replace(found, total=None) if alone else found

    def play(self, problem: Problem) -> Found:
        """Play for rows that have the same players."""
        if not problem.players.count:
            nothing = {k: np.zeros(v.shape, float_like(v)) for k, v in problem.features.items()}
            return Found(nothing, np.zeros(problem.n), errors=nothing, total=np.zeros(problem.n))
        return settle(problem, self.design(problem.players.count), self.link, self.stop, self.name)


def few(players: int, most: int, name: str, why: str) -> None:
    """Refuse more players than a method can take.

    Raises
    ------
    DataInputError
        If there are more.
    """
    if players > most:
        solved = "kernel_shap or " if players <= SOLVED else ""
        raise DataInputError(
            f"{name} {why}: at most {most:,} players, not {players:,}; put elements together (feature_mask="
            f"'segments', 'tokens', 'columns' or an array), or use {solved}permutation_shapley"
        )

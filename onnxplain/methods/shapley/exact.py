"""Exact Shapley values and interactions of few players."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from onnxplain.methods.shapley.game import Game, few
from onnxplain.runtime.plans.games.every import Every
from onnxplain.runtime.plans.plan import Found
from onnxplain.runtime.problem import Problem

__all__ = ["ExactShapley", "ShapleyInteractions"]

_MOST = 16
_WHY = "asks for all coalitions, 2 to the number of players"


@dataclass(frozen=True)
class ExactShapley(Game):
    """Exact Shapley values (Shapley 1953), by all coalitions of up to 16 players.

    ``A_i = sum_S |S|! (P - 1 - |S|)! / P! (v(S + i) - v(S))``, over all coalitions S without player i.  v(S)
    is the score (or ``link`` of it) with the players in S; baselines stand for the others, or the rows of a
    background, whose scores are averaged before the link.

    Parameters
    ----------
    link
        ``"identity"``, or ``"logit"``: the game's values are log-odds of scores that are probabilities.

    Raises
    ------
    DataInputError
        If there are more than 16 players: put elements together (``feature_mask=``).
    NotFiniteError
        If a score has no log-odds.
    """

    name: ClassVar[str] = "exact_shapley"
    cost: ClassVar[str] = "2^players forwards, times background rows; exact"

    def design(self, players: int) -> Every:
        """Ask for all coalitions."""
        few(players, _MOST, self.name, _WHY)
        return Every(players)


@dataclass(frozen=True)
class ShapleyInteractions(Game):
    """What pairs of up to 16 players do together, by all coalitions; the values are exact Shapley values.

    With Harsanyi's dividends ``m(S) = sum_{T in S} (-1)^{|S| - |T|} v(T)``, pairs get, for each coalition T
    that they are in, of t players:

    * ``"stii"``, Shapley-Taylor (Sundararajan et al. 2020): ``m(T) / C(t, 2)``; players keep ``m(i)``
    * ``"fsii"``, Faith-Shap (Tsai et al. 2023): those of the game of pairs that is nearest to v, by the
      weights of Shapley's kernel
    * ``"sii"``, Shapley interaction (Grabisch & Roubens 1999): ``m(T) / (t - 1)``, as ``tree_shap`` tells

    Parameters
    ----------
    link
        As of :class:`ExactShapley`.
    index
        Which.

    Notes
    -----
    ``extras["interactions"]``, float64 (N, P, P): half of each pair's value on both sides, what players have
    for themselves on the diagonal.  Rows sum to the players' Shapley values, whichever index.

    Raises
    ------
    DataInputError, NotFiniteError
        As :class:`ExactShapley`.
    """

    name: ClassVar[str] = "shapley_interactions"
    leaves_out: ClassVar[bool] = False
    cost: ClassVar[str] = "2^players forwards, times background rows; exact"
    index: Literal["stii", "fsii", "sii"] = "stii"

    def design(self, players: int) -> Every:
        """Ask for all coalitions."""
        few(players, _MOST, self.name, _WHY)
        return Every(players, self.index)

    def attribute(self, problem: Problem) -> Found:
        """Play for all rows together: who has no elements in a row adds nothing there."""
        return self.play(problem.resolved())

"""All coalitions of few players: exact values, and what pairs of players do together."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.runtime.plans.games.settle import Solved

__all__ = ["PAIRS", "Every"]


@dataclass(frozen=True)
class Every:
    """All coalitions but the empty and the full one: coalition k keeps player i where bit i of k + 1 is set.

    Attributes
    ----------
    players
        P.
    index
        Which values of pairs to find, a name of :data:`PAIRS`; None for none.
    """

    players: int
    index: str | None = None

    def count(self, players: int) -> int:
        """Return ``2^P - 2``."""
        return max((1 << players) - 2, 0)

    @property
    def sizes(self) -> tuple[int, ...]:
        """One round."""
        count = self.count(self.players)
        return (count,) if count else ()

    def draw(self, number: int) -> Every:
        """Return all of them."""
        return self

    def kept(self, players: int, which: slice) -> Array:
        """Return some of the coalitions."""
        return _bits(np.arange(which.start + 1, which.stop + 1), players)

    def solve(self, scores: FloatArray, empty: FloatArray, full: FloatArray) -> Solved:
        """Return Shapley values, ``sum_S |S|! (P - 1 - |S|)! / P! (v(S + i) - v(S))``, exact."""
        P = self.players
        if not P:
            return Solved.exact(np.zeros((len(full), 0)))
        games = np.concatenate([empty[None], scores, full[None]])
        if self.index is not None:
            pairs = PAIRS[self.index](_dividends(games, P), P)
            return Solved.exact(pairs.sum(2), interactions=pairs)
        sizes = _bits(np.arange(2 ** (P - 1)), P - 1).sum(1)
        weights = np.array([1 / (P * math.comb(P - 1, s)) for s in range(P)])[sizes]
        values = [weights @ _gains(games, i).reshape(-1, len(full)) for i in range(P)]
        return Solved.exact(np.stack(values, 1))


def _bits(numbers: Array, players: int) -> Array:
    return (numbers[:, None] >> np.arange(players) & 1).astype(bool)


def _gains(games: FloatArray, player: int) -> FloatArray:
    """Return what a player adds to each coalition of the others."""
    halves = games.reshape(-1, 2, 2**player, games.shape[1])
    return np.asarray(halves[:, 1] - halves[:, 0])


def _dividends(games: FloatArray, players: int) -> FloatArray:
    """Return Harsanyi's dividends, ``m(S) = sum_{T in S} (-1)^{|S| - |T|} v(T)``, in the order of games."""
    made = games.copy()
    for player in range(players):
        halves = made.reshape(-1, 2, 2**player, games.shape[1])
        halves[:, 1] -= halves[:, 0]
    return np.asarray(made)


def _pairs(
    dividends: FloatArray, players: int, shared: Callable[[Array], Array], alone: FloatArray | None
) -> FloatArray:
    """Return (n, P, P): half of each pair's value on both sides, and on the diagonal what is left.

    Parameters
    ----------
    dividends
        (2^P, n).
    players
        P.
    shared
        By the size of a coalition, the part of its dividend that each of its pairs gets.
    alone
        (n, P): what players have for themselves; None: what their Shapley values leave.
    """
    members = _bits(np.arange(len(dividends)), players).astype(np.float64)
    sizes = members.sum(1)
    weighted = dividends * shared(np.maximum(sizes, 2))[:, None] * (sizes > 1)[:, None] / 2
    made: FloatArray = np.zeros((dividends.shape[1], players, players))
    for i in range(players):
        inside = members[:, i] > 0
        made[:, i] = weighted[inside].T @ members[inside]
    places = np.arange(players)
    made[:, places, places] = 0
    if alone is None:
        values = (dividends / np.maximum(sizes, 1)[:, None]).T @ members
        alone = values - made.sum(2)
    made[:, places, places] = alone
    return made


def _first(dividends: FloatArray, players: int) -> FloatArray:
    return np.asarray(dividends[2 ** np.arange(players)].T)


def _shapley(dividends: FloatArray, players: int) -> FloatArray:
    """Shapley interaction index (Grabisch & Roubens 1999): ``sum_T m(T) / (|T| - 1)`` to each pair in T."""
    return _pairs(dividends, players, lambda t: 1 / (t - 1), None)


def _taylor(dividends: FloatArray, players: int) -> FloatArray:
    """Shapley-Taylor index (Sundararajan et al. 2020): players keep ``m(i)``, pairs share the rest evenly."""
    return _pairs(dividends, players, lambda t: 2 / (t * (t - 1)), _first(dividends, players))


def _faithful(dividends: FloatArray, players: int) -> FloatArray:
    """Faith-Shap (Tsai et al. 2023): the game of pairs that is nearest by Shapley's weights.

    The paper's theorem for order 2: of the dividend of a coalition of t > 2 players, each of its pairs gets
    ``C(t - 1, 2) / (2 C(t + 1, 4))``, and each player ``-2/3 C(t - 1, 2) / C(t + 1, 3)``.
    """
    members = _bits(np.arange(len(dividends)), players).astype(np.float64)
    t = np.maximum(members.sum(1), 3)
    lost = (t - 1) * (t - 2) / 2 / ((t + 1) * t * (t - 1) / 6) * 2 / 3 * (members.sum(1) > 2)
    alone = _first(dividends, players) - (dividends * lost[:, None]).T @ members

    def shared(t: Array) -> Array:
        large = np.maximum(t, 3)
        part = (large - 1) * (large - 2) / 4 / ((large + 1) * large * (large - 1) * (large - 2) / 24)
        return np.where(t > 2, part, 1.0)

    return _pairs(dividends, players, shared, alone)


#: Values of pairs by the names that shapiq gives them, from dividends (2^P, n) and P to (n, P, P); rows sum
#: to Shapley values.
PAIRS: dict[str, Callable[[FloatArray, int], FloatArray]] = {
    "stii": _taylor,
    "fsii": _faithful,
    "sii": _shapley,
}

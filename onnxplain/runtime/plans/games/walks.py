"""Walks: players come one after the other, in random orders, and each gets what it adds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from onnxplain._types import Array, FloatArray, IntArray
from onnxplain.runtime.plans.games.settle import Solved, doubling

__all__ = ["Walks", "shuffled"]

#: The fewest orders after which an error is believed.
_FIRST = 16


def shuffled(players: int, seed: int, number: int) -> IntArray:
    """Return an order of players; the same for the same seed and number."""
    return np.random.default_rng([seed, number]).permutation(players)


@dataclass(frozen=True, eq=False)
class Walks:
    """Means over orders of what each player adds to those before it (Castro et al. 2009).

    Attributes
    ----------
    players
        P.
    orders
        Makes the order of a number, int64 (P,).
    count_orders
        How many.
    reverse
        Whether each is walked backwards too (Mitchell et al. 2022): the mean of both is one sample.
    stops
        Whether there are rounds, after which it may be enough.
    """

    players: int
    orders: Callable[[int], IntArray]
    count_orders: int
    reverse: bool
    stops: bool = False

    @cached_property
    def _rounds(self) -> tuple[int, ...]:
        return doubling(self.count_orders, _FIRST if self.stops else None)

    @property
    def _steps(self) -> int:
        return (1 + self.reverse) * (self.players - 1)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Walks of each round, times P - 1."""
        return tuple(r * self._steps for r in self._rounds) if self.players > 1 else ()

    def draw(self, number: int) -> _Steps:
        """Return the coalitions on the walks of a round."""
        first = sum(self._rounds[:number])
        return _Steps(self, first, self._rounds[number])

    def order(self, walk: int) -> IntArray:
        """Return the order of a walk; with ``reverse``, of every second one the last one's, backwards."""
        if not self.reverse:
            return self.orders(walk)
        order = self.orders(walk // 2)
        return order[::-1] if walk % 2 else order

    def solve(self, scores: FloatArray, empty: FloatArray, full: FloatArray) -> Solved:
        """Return means and their standard errors; NaN of a single order."""
        n, P = len(full), self.players
        if P < 2:
            return Solved.exact(np.repeat((full - empty)[:, None], P, 1))
        total, square, first = np.zeros((P, n)), np.zeros((P, n)), None
        count = len(scores) // self._steps
        for k, part in enumerate(scores.reshape(count, -1, P - 1, n)):
            gains = np.zeros((P, n))
            for back, walked in enumerate(part):
                order = self.order(k * len(part) + back)
                gains[order] += np.diff(np.concatenate([empty[None], walked, full[None]]), axis=0)
            gains /= len(part)
            first = gains if first is None else first
            total += gains - first
            square += (gains - first) ** 2
        assert first is not None
        mean = total / count
        if count < 2:
            return Solved((first + mean).T, np.full((n, P), np.nan))
        variance = np.maximum(square / count - mean**2, 0) / (count - 1)
        return Solved((first + mean).T, np.sqrt(variance).T)


@dataclass(frozen=True, eq=False)
class _Steps:
    walks: Walks
    first: int
    orders: int

    def count(self, players: int) -> int:
        return self.orders * self.walks._steps

    def kept(self, players: int, which: slice) -> Array:
        walk, step = np.divmod(np.arange(which.start, which.stop), players - 1)
        start = self.first * (1 + self.walks.reverse)
        came = np.empty((int(walk[-1] - walk[0]) + 1, players), np.int64)
        for k in range(len(came)):
            came[k, self.walks.order(start + int(walk[0]) + k)] = np.arange(players)
        return np.asarray(came[walk - walk[0]] <= step[:, None])

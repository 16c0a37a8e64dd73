"""Pairs of coalitions, each with its complement, drawn without replacement, so many of each size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, TypeAlias

import numpy as np

from onnxplain._types import Array, FloatArray, IntArray
from onnxplain.runtime.plans.coalitions import Listed
from onnxplain.runtime.plans.games.settle import doubling

__all__ = ["Sampling", "Strata"]

#: How often coalitions of a size are drawn: all sizes equally (their leverage), or by Shapley's kernel.
Sampling: TypeAlias = Literal["leverage", "kernel"]

#: Coalitions of one size that are numbered and drawn by number; of more, sets are drawn, and repeats dropped.
_NUMBERED = 1 << 53

#: Draws that are remembered from call to call: how many, and the most bytes of one's sets.
_REMEMBERED, _MOST_BYTES = 16, 1 << 18


@dataclass(frozen=True)
class Strata:
    """Pairs of coalitions of s and P - s players, for each s up to P / 2: a stratum.

    Where a size has no more coalitions than its share, all of them are taken, and the others share the rest.

    Attributes
    ----------
    players
        P, at least 3.
    pairs
        How many.
    sampling
        Which shares sizes have.
    seed
        Same seed, same bits.
    first
        Pairs of the first of several rounds; None: there is one round.
    """

    players: int
    pairs: int
    sampling: Sampling
    seed: int
    first: int | None = None

    def remembered(self) -> Strata:
        """Return the same, with what was drawn in earlier calls; itself where that would be large."""
        return _remembered(self) if self.pairs * self.players <= _MOST_BYTES else self

    @cached_property
    def lengths(self) -> IntArray:
        """By stratum, s: how many players the smaller coalition has."""
        return np.arange(1, self.players // 2 + 1)

    @cached_property
    def population(self) -> FloatArray:
        """By stratum: how many pairs there are (up to 1e18)."""
        P, made = self.players, []
        for s in self.lengths.tolist():
            log = math.lgamma(P + 1) - math.lgamma(s + 1) - math.lgamma(P - s + 1)
            made.append(min(math.comb(P, s) / (1 + (2 * s == P)), 1e18) if log < 60 else 1e18)
        return np.array(made)

    @cached_property
    def mass(self) -> FloatArray:
        """By stratum, the sum of the kernel over its pairs, ``(P - 1) / (s (P - s))``; half for P / 2."""
        s, P = self.lengths, self.players
        return np.asarray((P - 1) / (s * (P - s)) / (1 + (2 * s == P)))

    @cached_property
    def counts(self) -> list[IntArray]:
        """For each round, by stratum: how many pairs have been drawn when it is over."""
        made, spent = [], 0
        so_far = np.zeros(len(self.lengths), np.int64)
        for size in doubling(self.pairs, self.first):
            spent += size
            so_far = np.maximum(so_far, self._shared(spent))
            made.append(so_far)
        return made

    def _shared(self, pairs: int) -> IntArray:
        """Share pairs out: at least 2 to each stratum, all that are left over to the largest remainders."""
        least = np.minimum(2, self.population)
        share = (1 / (1 + (2 * self.lengths == self.players))) if self.sampling == "leverage" else self.mass
        low, high = 0.0, float(pairs / share.min())
        for _ in range(100):
            middle = (low + high) / 2
            enough = np.clip(middle * share, least, self.population).sum() > pairs
            low, high = (low, middle) if enough else (middle, high)
        exact = np.clip(low * share, least, self.population)
        made = np.floor(exact + 1e-9).astype(np.int64)
        left = max(0, pairs - int(made.sum()))
        rest = np.where(made < self.population, exact - made, -1)
        best = np.argsort(-rest, kind="stable")[:left]
        made[best[rest[best] >= 0]] += 1
        return np.asarray(made)

    def sets(self, stratum: int, first: int, last: int) -> Array:
        """Return some of a stratum's smaller coalitions, bool (last - first, P), in the order of drawing."""
        P, s = self.players, int(self.lengths[stratum])
        halves = 2 * s == P  # of a pair of halves, the one with player 0
        if self.population[stratum] <= _NUMBERED:
            ranks = _distinct((self.seed, s), int(self.population[stratum]), last)[first:]
            if halves:
                inner = _unranked(ranks, P - 1, s - 1)
                return np.concatenate([np.ones((len(ranks), 1), bool), inner], 1)
            return _unranked(ranks, P, s)
        random = np.random.default_rng([self.seed, s])
        seen: set[bytes] = set()
        made: list[Array] = []
        while len(made) < last:
            drawn = np.zeros(P, bool)
            drawn[random.permutation(P)[:s]] = True
            drawn ^= halves & ~drawn[0]
            key = np.packbits(drawn).tobytes()
            if key not in seen:
                seen.add(key)
                made.append(drawn)
        return np.stack(made[first:last]) if last > first else np.zeros((0, P), bool)

    def drawn(self, number: int) -> tuple[Array, IntArray]:
        """Return the smaller coalitions of a round, bool (m, P), and the stratum of each."""
        if number not in self._rounds:
            before = self.counts[number - 1] if number else np.zeros(len(self.lengths), np.int64)
            spans = list(zip(before.tolist(), self.counts[number].tolist(), strict=True))
            sets = np.concatenate([self.sets(k, *span) for k, span in enumerate(spans)])
            strata = np.repeat(np.arange(len(spans)), [last - first for first, last in spans])
            sets.flags.writeable = strata.flags.writeable = False
            self._rounds[number] = sets, strata
        return self._rounds[number]

    @cached_property
    def _rounds(self) -> dict[int, tuple[Array, IntArray]]:
        """What was drawn already, by round."""
        return {}

    def draw(self, number: int) -> Listed:
        """Return the coalitions of a round, each followed by its complement."""
        sets = self.drawn(number)[0]
        return Listed(np.stack([sets, ~sets], 1).reshape(-1, self.players))


@lru_cache(maxsize=_REMEMBERED)
def _remembered(strata: Strata) -> Strata:
    return strata


def _distinct(seed: tuple[int, ...], population: int, count: int) -> IntArray:
    """Return the first of the numbers below a population in a random order, however many are asked for.

    Half of them are drawn, and repeats dropped; the others are what is left, shuffled.
    """
    wanted = min(count, population // 2)
    draws, made = 2 * wanted + 1, np.zeros(0, np.int64)
    while len(made) < wanted:
        drawn = np.random.default_rng(seed).integers(population, size=draws)
        made = drawn[np.sort(np.unique(drawn, return_index=True)[1])[:wanted]]
        draws *= 2
    if count == wanted:
        return made
    left = np.setdiff1d(np.arange(population), made, assume_unique=True)
    rest = np.random.default_rng((*seed, 1)).permutation(left)
    return np.concatenate([made, rest[: count - wanted]])


def _unranked(ranks: IntArray, players: int, size: int) -> Array:
    """Return the coalitions of a size that have these numbers, bool (m, players)."""
    made = np.zeros((len(ranks), players), bool)
    left, missing = ranks.astype(np.int64), np.full(len(ranks), size)
    for player in range(players):
        others = players - player - 1
        table = [math.comb(others, r - 1) if r >= 1 else 0 for r in range(size + 1)]
        with_it = np.array([min(t, 2**62) for t in table])[missing]
        made[:, player] = stays = (missing > 0) & (left < with_it)
        left = np.where(stays, left, left - with_it)
        missing = missing - stays
    return made

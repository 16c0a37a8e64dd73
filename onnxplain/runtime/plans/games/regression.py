"""Shapley values by weighted least squares over pairs of coalitions, as they are or as a first guess."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from onnxplain._types import Array, FloatArray, IntArray
from onnxplain.runtime.plans.coalitions import Listed
from onnxplain.runtime.plans.games.settle import Solved
from onnxplain.runtime.plans.games.strata import Strata

__all__ = ["Regression"]


@dataclass(frozen=True)
class Regression:
    """Values from pairs: with ``x = 1_S - s / P`` and d half of ``v(S) - v(N - S)``, centred, ``d ~ x phi``.

    The kernel's weight of a pair, over the chance to be drawn, is its stratum's mass over the number drawn.
    What coalitions and complements share, effects of even order, cancels in pairs, and so it does in values.

    Attributes
    ----------
    strata
        Which pairs.
    folds
        1: what the fit says is the result.  More: each pair's residual by a fit without it is added, with
        the weight that it has in the Shapley value, so that the result is unbiased.
    """

    strata: Strata
    folds: int = 1

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Coalitions of each round."""
        totals = [2 * int(c.sum()) for c in self.strata.counts]
        return tuple(b - a for a, b in zip([0, *totals], totals, strict=False))

    def draw(self, number: int) -> Listed:
        """Return the coalitions of a round, each followed by its complement."""
        return self.strata.draw(number)

    def solve(self, scores: FloatArray, empty: FloatArray, full: FloatArray) -> Solved:
        """Return values and their standard errors."""
        number = int(np.searchsorted(np.cumsum(self.sizes), len(scores)))
        surplus = full - empty
        strata = self._by_stratum(number, scores, surplus)
        made, errors = self._fitted(strata) if self.folds == 1 else self._adjusted(strata)
        return Solved((made + surplus / self.strata.players).T, np.sqrt(np.maximum(errors, 0)).T)

    def _by_stratum(self, number: int, scores: FloatArray, surplus: FloatArray) -> list[_Stratum]:
        """Return what was drawn of each stratum."""
        strata, P = self.strata, self.strata.players
        drawn = [strata.drawn(k) for k in range(number + 1)]
        sets, places = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
        halves = (scores[::2] - scores[1::2]) / 2
        made, start = [], 0
        for k, s in enumerate(strata.lengths.tolist()):
            own = np.flatnonzero(places == k)
            d = halves[own] - (s / P - 0.5) * surplus
            fold = (start + np.arange(len(own))) % self.folds
            start += len(own)
            made.append(_Stratum(sets[own], s, d, float(strata.population[k]), float(strata.mass[k]), fold))
        return made

    def _fitted(self, strata: list[_Stratum]) -> tuple[FloatArray, FloatArray]:
        """Return the fit, (P, n), and the variance of its linear part.

        Residuals are divided by ``1 - h``, h a pair's pull on its own fit, as a jackknife does.
        """
        inverse, fit = _least_squares(strata)
        errors = np.zeros_like(fit)
        for s in strata:
            weight, x = s.mass / len(s), s.x
            shares = weight * x @ inverse
            pull = (shares * x).sum(1)
            residual = (s.d - x @ fit) / np.maximum(1 - pull, 1e-3)[:, None]
            errors += s.spread(shares, residual)
        return fit, errors

    def _adjusted(self, strata: list[_Stratum]) -> tuple[FloatArray, FloatArray]:
        """Return fits with their residuals' own values added, (P, n), and the variance of these."""
        fits = [_least_squares([s.only(s.fold != f) for s in strata])[1] for f in range(self.folds)]
        made = np.zeros((self.strata.players, strata[0].d.shape[1]))
        errors = np.zeros_like(made)
        for s in strata:
            residual = np.empty_like(s.d)
            for f, fit in enumerate(fits):
                here, others = s.only(s.fold == f), s.only(s.fold != f)
                if not len(here):
                    continue
                residual[s.fold == f] = here.d - here.x @ fit
                left = (s.population - len(others)) / len(here)
                known = others.influence.T @ others.d + s.gram(fit) - others.influence.T @ (others.x @ fit)
                drawn = left * here.influence.T @ residual[s.fold == f]
                made += len(here) / len(s) * (known + drawn)
            errors += s.spread(s.influence * (s.population / len(s)), residual)
        return made, errors


@dataclass(frozen=True, eq=False)
class _Stratum:
    """Pairs of one size s: sets (m, P), d (m, n), how many there are, their kernel's sum, each one's fold."""

    sets: Array
    size: int
    d: FloatArray
    population: float
    mass: float
    fold: IntArray

    def __len__(self) -> int:
        return len(self.sets)

    @property
    def players(self) -> int:
        return int(self.sets.shape[1])

    @property
    def x(self) -> FloatArray:
        """(m, P), ``1_S - s / P``: made when it is asked for, eight times as large as the sets."""
        return np.asarray(self.sets - self.size / self.players)

    def only(self, which: Array) -> _Stratum:
        return _Stratum(
            self.sets[which], self.size, self.d[which], self.population, self.mass, self.fold[which]
        )

    @property
    def influence(self) -> FloatArray:
        """(m, P): what a pair's d counts in the Shapley value, ``2 P / (P - 1) k x``, k its kernel."""
        P = self.players
        return np.asarray(2 * P / (P - 1) * self.mass / self.population * self.x)

    def gram(self, fit: FloatArray) -> FloatArray:
        """Sum ``influence x fit`` over all pairs that there are; entries of a fit sum to 0."""
        s, P = self.size, self.players
        return np.asarray(2 * P / (P - 1) * self.mass * s * (P - s) / (P * (P - 1)) * fit)

    def spread(self, shares: FloatArray, residual: FloatArray) -> FloatArray:
        """Return the variance, (P, n), of a sum of residuals by shares, (m, P), drawn from this stratum."""
        m = len(shares)
        if m < 2 or m >= self.population:
            return np.zeros((shares.shape[1], residual.shape[1]))
        centred = (shares**2).T @ residual**2 - (shares.T @ residual) ** 2 / m
        return np.asarray((1 - m / self.population) * m / (m - 1) * centred)


def _least_squares(strata: list[_Stratum]) -> tuple[FloatArray, FloatArray]:
    """Return the inverse of ``sum w x x'`` (whose null space is all ones), and the fit, (P, n)."""
    players = strata[0].players
    gram = np.zeros((players, players))
    right = np.zeros((players, strata[0].d.shape[1]))
    for s in _drawn(strata):
        weight, x = s.mass / len(s), s.x
        gram += weight * x.T @ x
        right += weight * x.T @ s.d
    inverse = _inverse(gram, sum(map(len, strata)))
    return inverse, inverse @ right


def _inverse(gram: FloatArray, pairs: int) -> FloatArray:
    """Return the pseudo-inverse of a matrix whose rows sum to 0; of lower rank where there are few pairs."""
    players = len(gram)
    level = np.trace(gram) / players**2
    if pairs >= players and level > 0:
        with contextlib.suppress(np.linalg.LinAlgError):  # pairs that leave players indistinct
            made = np.linalg.inv(gram + level)
            if np.linalg.norm(made) * np.linalg.norm(gram) < 1e10:
                return np.asarray(made - 1 / (level * players**2))
    return np.linalg.pinv(gram, rcond=1e-10, hermitian=True)


def _drawn(strata: list[_Stratum]) -> Iterator[_Stratum]:
    return (s for s in strata if len(s))

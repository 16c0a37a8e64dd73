"""Designed experiments: players kept in degrees by a quasi-random sequence, and what scores say of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Protocol

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.errors import MethodError
from onnxplain.kernels import masked_batches as kernels
from onnxplain.runtime.plans.combinations import float_like
from onnxplain.runtime.plans.moving import OnDevice, only_floats, only_numbers
from onnxplain.runtime.plans.plan import Answers, Found, SamePlayers
from onnxplain.runtime.problem import Problem

__all__ = ["Binary", "Design", "Designed", "Measured", "Replicas"]

_LONGEST = 21201  # dimensions of scipy's Sobol sequence
_STRIP = 1 << 20  # numbers of a kernel matrix that are held at once


class Design(Protocol):
    """Says how much of each player is kept at each point, and what the scores there say of the players."""

    #: Whether each player is kept or not, and nobody in part.
    whole: ClassVar[bool]

    def count(self, players: int) -> int:
        """Return the number of points."""

    def kept(self, players: int, steps: slice) -> FloatArray:
        """Return how much of each player is kept at some points, (m, P), from 0 to 1."""

    def measured(self, players: int, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return a value of each player and its standard error, (n, P), from the scores, (K, n)."""


@dataclass(frozen=True)
class Designed(SamePlayers, OnDevice):
    """The row, of which each player is kept to a degree; the baseline makes up for the rest.

    Attributes
    ----------
    design
        To which.
    """

    design: Design

    def count(self, problem: Problem) -> int:
        """Return the number of points."""
        return self.design.count(problem.players.count)

    def held_back(self, problem: Problem) -> str | None:
        """Say what cannot be moved on a GPU."""
        return only_numbers(problem) if self.design.whole else only_floats(problem)

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Mix features and baselines."""
        players = problem.players
        kept = self.design.kept(players.count, steps)
        out = problem.written(len(kept))
        if self.design.whole or np.isin(kept, (0, 1)).all():
            chosen = players.chosen(problem.features, problem.baselines, kept.astype(bool)[:, None], out)
        else:
            chosen = {
                k: kernels.fade_players(x, problem.baselines[k], players.ids[k], kept, out[k])
                for k, x in problem.features.items()
            }
        return problem.at(chosen, len(kept))


@dataclass(frozen=True)
class Measured:
    """What a design makes of all scores.

    Attributes
    ----------
    design
        Which.
    """

    design: Design
    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Return False."""
        return False

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _Measured:
        """Begin with no scores."""
        return _Measured(self.design, problem, np.zeros((count, problem.n)))


@dataclass
class _Measured:
    design: Design
    problem: Problem
    scores: FloatArray

    def add(self, steps: slice, answers: Answers) -> None:
        assert answers.score is not None
        self.scores[steps] = answers.score

    def found(self) -> Found:
        players, features = self.problem.players, self.problem.features
        values, errors = self.design.measured(players.count, self.scores)
        made = {k: v.astype(float_like(features[k])) for k, v in players.spread(values).items()}
        return Found(made, errors=players.spread(errors))


@dataclass(frozen=True)
class Replicas:
    """For total Sobol indices (Jansen 1999): a design A, and for each player A with B's column of it.

    Attributes
    ----------
    samples
        Rows of A, a power of 2.
    seed
        Of the sequence's scrambling.
    """

    samples: int
    seed: int
    whole: ClassVar[bool] = False

    def count(self, players: int) -> int:
        """Return ``N (P + 1)``."""
        return self.samples * (players + 1)

    def kept(self, players: int, steps: slice) -> FloatArray:
        """Return rows of A, then those of A with one column of B after the other."""
        both = _sequence(2 * players, self.samples, self.seed)
        replica, row = np.divmod(np.arange(steps.start, steps.stop), self.samples)
        made = both[row, :players]
        changed = np.flatnonzero(replica)
        column = replica[changed] - 1
        made[changed, column] = both[row[changed], players + column]
        return made

    def measured(self, players: int, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``T_i = mean (f(A) - f(A_B^i))^2 / (2 V)``; of a score that is constant, 0."""
        split = scores.reshape(players + 1, self.samples, -1)
        first = split[0]
        squares = (first - first.mean(0)) ** 2
        variance = squares.sum(0) / (self.samples - 1)
        safe = np.where(variance > 0, variance, 1)
        change = (first - split[1:]) ** 2 / 2
        total = change.mean(1) / safe
        spread = (change - total[:, None] * squares).std(1, ddof=1) / safe
        return total.T, spread.T / np.sqrt(self.samples)


@dataclass(frozen=True)
class Binary:
    """For HSIC indices (Novello et al. 2022): each player is kept or not, as a sequence has it.

    Attributes
    ----------
    samples
        Points, a power of 2.
    seed
        Of the sequence's scrambling.
    """

    samples: int
    seed: int
    whole: ClassVar[bool] = True

    def count(self, players: int) -> int:
        """Return the number of points."""
        return self.samples

    def kept(self, players: int, steps: slice) -> FloatArray:
        """Return 0 and 1."""
        return np.asarray((_sequence(players, self.samples, self.seed)[steps] >= 0.5) * 1.0)

    def measured(self, players: int, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``trace(K_i H L H) / N^2``.

        ``K_i = 2 u u'`` with ``u = m_i - 1/2`` is the kernel "both the same" less a half; L is Gaussian in
        the scores, as wide as the median of their distances; ``H = I - 1/N`` centres both.
        """
        n = self.samples
        kept = self.kept(players, slice(0, n))
        centred = kept - kept.mean(0)
        values, errors = np.zeros((2, scores.shape[1], players))
        for k, own in enumerate(scores.T):
            width = _median_distance(own)
            if width == 0:
                continue
            terms = np.empty((n, players))
            step = max(1, _STRIP // n)
            for first in range(0, n, step):
                rows = slice(first, min(first + step, n))
                kernel = np.exp(-(((own[rows, None] - own) / width) ** 2) / 2)
                terms[rows] = centred[rows] * (kernel @ centred)
            terms *= 2 / n
            values[k] = terms.mean(0)
            errors[k] = 2 * terms.std(0, ddof=1) / np.sqrt(n)
        return values, errors


def _median_distance(numbers: FloatArray) -> float:
    """Return the median distance of numbers from each other, of at most 1024; if 0, of those that differ."""
    few = numbers[:1024]
    apart = np.abs(few[:, None] - few)[np.triu_indices(len(few), 1)]
    middle = float(np.median(apart))
    return middle or float(np.median(apart[apart > 0])) if apart.any() else 0.0


@lru_cache(maxsize=4)
def _sequence(dimensions: int, samples: int, seed: int) -> Array:
    """Return a scrambled Sobol sequence, (samples, dimensions).

    Raises
    ------
    MethodError
        If there is none of so many dimensions.
    """
    from scipy.stats import qmc

    if dimensions > _LONGEST:
        raise MethodError(
            f"too many players: they take {dimensions} dimensions, and the sequence has {_LONGEST}: "
            "give a smaller grid_size, or a feature_mask with fewer players"
        )
    return np.asarray(qmc.Sobol(dimensions, scramble=True, seed=seed).random(samples))

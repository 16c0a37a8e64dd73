"""Points that have one player's values from other rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onnxplain._types import Arrays, IntArray
from onnxplain.kernels.uniform import uniforms
from onnxplain.runtime.problem import Problem

__all__ = ["Swapped"]


@dataclass(frozen=True, eq=False)
class Swapped:
    """The row, with the values of one player from another row; several times for each player.

    Attributes
    ----------
    repeats
        How often for each player.
    seed
        Same seed, same bits.
    donors
        By feature, (M, ...): where values come from.
    within
        Whether these are the rows themselves, which then are permuted (never left as they are); else one of
        them is drawn, the same for all rows.
    """

    repeats: int
    seed: int
    donors: Arrays
    within: bool

    def count(self, problem: Problem) -> int:
        """Return the number of players, times the repeats."""
        return problem.players.count * self.repeats

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Swap values."""
        m, players = steps.stop - steps.start, problem.players
        kept = np.ones((m, 1, players.count), bool)
        kept[np.arange(m), 0, np.arange(steps.start, steps.stop) // self.repeats] = False
        rows = self.rows(steps)
        rows = rows[:, problem.rows] if self.within else rows
        instead = {k: v[rows] for k, v in self.donors.items()}
        return problem.at(players.chosen(problem.features, instead, kept, problem.written(m)), m)

    def rows(self, steps: slice) -> IntArray:
        """Return who gives: (m, M) to each of the rows, or (m, 1) to all of them."""
        m, count = steps.stop - steps.start, len(next(iter(self.donors.values())))
        if not self.within:
            drawn = uniforms(self.seed, 0, steps.start, m, 1)
            return np.minimum((drawn * count).astype(np.int64), count - 1)
        order = uniforms(self.seed, 0, steps.start, m, count).argsort(1)
        same = (order == np.arange(count)).all(1)
        order[same] = np.roll(order[same], 1, 1)
        return order

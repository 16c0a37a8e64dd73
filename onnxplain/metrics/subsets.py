"""Subsets of a sample's players: drawn at random, or so many at a time in the order of attributions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from onnxplain._types import Array, FloatArray, IntArray
from onnxplain.kernels.uniform import uniforms
from onnxplain.metrics.trial import Trial

__all__ = ["Groups", "Subsets"]


@dataclass(frozen=True, eq=False)
class Subsets:
    """Random subsets of each sample's players, all equally likely.

    A subset's place and the number of a sample's players decide what it is: samples with as many players draw
    the same, whatever their company.

    Attributes
    ----------
    present
        Bool (n, P): whose subsets they are.
    sizes
        (n, K): how many players each subset has.
    seed
        Same seed, same bits.
    """

    present: Array
    sizes: IntArray
    seed: int

    @property
    def count(self) -> int:
        """Number of subsets of each sample, K."""
        return int(self.sizes.shape[1])

    def chosen(self, steps: slice, rows: IntArray) -> Array:
        """Return some of the subsets, bool (m, r, P), or (m, 1, P) where all samples draw the same."""
        made = []
        for step in range(steps.start, steps.stop):
            order, first = self._first(step, rows)
            chosen = np.zeros(order.shape, bool)
            np.put_along_axis(chosen, order, first, axis=1)
            made.append(chosen)
        return np.stack(made) if made else np.zeros((0, 1, self.present.shape[1]), bool)

    def sums(self, numbers: FloatArray) -> FloatArray:
        """Return the sum of the players' numbers, (n, P), in each of the subsets: (n, K).

        Where all numbers are the same, so are the sums, to the bit.
        """
        rows = np.arange(len(numbers))
        made = np.zeros((len(numbers), self.count))
        for step in range(self.count):
            order, first = self._first(step, rows)
            drawn = np.take_along_axis(numbers, np.broadcast_to(order, numbers.shape), axis=1)
            made[:, step] = np.where(first, drawn, 0).sum(1)
        return made

    def _first(self, step: int, rows: IntArray) -> tuple[IntArray, Array]:
        """Return an order of the players, (r, P) or (1, P), and which of them in it are chosen: the first."""
        places = np.arange(self.present.shape[1])
        if self._alike:
            size = int(self.sizes[:, step].max(initial=0))
            keys = self._drawn(step)
            order = np.argpartition(keys, size - 1) if size else places
            return order[None], (places < size)[None]
        present = self.present[rows]
        numbers = np.maximum(np.cumsum(present, 1) - 1, 0)  # a sample's players, counted from 0
        keys = np.where(present, self._drawn(step)[numbers], np.inf)
        return np.argsort(keys, axis=1, kind="stable"), places < self.sizes[rows, step, None]

    @cached_property
    def _alike(self) -> bool:
        """Whether all samples have all players."""
        return bool(self.present.all())

    def _drawn(self, step: int) -> FloatArray:
        """Return a number for each player, of which the first are the same however many there are."""
        return np.asarray(uniforms(self.seed, step, 0, 1, self.present.shape[1])[0])


@dataclass(frozen=True, eq=False)
class Groups:
    """The players of each sample, so many at a time in an order.

    Attributes
    ----------
    places
        (n, P): each player's place in the order; those of who is not there come last.
    players
        (n,): how many players each sample has.
    size
        How many players are a group; the last one may be smaller.
    """

    places: IntArray
    players: IntArray
    size: int

    @classmethod
    def of(cls, trial: Trial, places: IntArray, size: int) -> Groups:
        """Return the groups of a trial's samples."""
        return cls(places, trial.present.sum(1), size)

    @property
    def counts(self) -> IntArray:
        """(n,): how many groups each sample has."""
        return np.asarray(-(-self.players // self.size), np.int64)

    @property
    def count(self) -> int:
        """The largest number of groups, K."""
        return int(self.counts.max(initial=0))

    def chosen(self, which: IntArray, rows: IntArray) -> Array:
        """Return some of the groups, by their numbers (m,): bool (m, r, P)."""
        return np.asarray(self.places[None, rows] // self.size == which[:, None, None])

    def sums(self, numbers: FloatArray) -> FloatArray:
        """Return the sum of the players' numbers, (n, P), in each of the groups: (n, K)."""
        count = self.count
        made = np.zeros((len(numbers), count + 1))  # the last one is of who is not there
        groups = np.minimum(self.places // self.size, count)
        np.add.at(made, (np.arange(len(numbers))[:, None], groups), numbers)
        return made[:, :-1]

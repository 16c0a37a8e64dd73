"""Owen values: players of a hierarchy come together with those of their own part."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.features.hierarchy import Tree
from onnxplain.runtime.plans.coalitions import Listed
from onnxplain.runtime.plans.games.settle import Solved

__all__ = ["Owen", "contexts"]


def contexts(tree: Tree) -> int:
    """Return how many coalitions all players are added to, each counted for each of them."""
    total, waiting = 0, [(tree.root, 1)]
    while waiting:
        node, so_far = waiting.pop()
        if isinstance(node, tuple):
            waiting += [(child, so_far << (len(node) - 1)) for child in node]
        else:
            total += so_far
    return total


@dataclass(frozen=True)
class Owen:
    """Exact values: of each node, all coalitions of its siblings, with Shapley's weights, are before it.

    Attributes
    ----------
    tree
        The hierarchy.
    players
        P.
    """

    tree: Tree
    players: int

    @cached_property
    def _sums(self) -> tuple[Array, list[tuple[Array, Array, FloatArray]]]:
        """Coalitions, bool (K, P), and for each player places with it, without it, and weights."""
        befores: list[Array] = []
        weights: list[FloatArray] = []
        for player in range(self.players):
            found, weight = self._before(player)
            befores.append(found)
            weights.append(weight)
        both = []
        for player, before in enumerate(befores):
            joined = before.copy()
            joined[:, player] = True
            both += [joined, before]
        packed = np.packbits(np.concatenate(both), axis=1)
        unique, places = np.unique(packed, axis=0, return_inverse=True)
        sets = np.unpackbits(unique, axis=1, count=self.players).astype(bool)
        cut = np.cumsum([len(part) for part in both])[:-1]
        parts = np.split(places.ravel(), cut)
        return sets, [(parts[2 * k], parts[2 * k + 1], w) for k, w in enumerate(weights)]

    def _before(self, player: int) -> tuple[Array, FloatArray]:
        """Return who may be there before a player, bool (m, P), and how likely that is, (m,)."""
        found: Array = np.zeros((1, self.players), bool)
        weight: FloatArray = np.ones(1)
        for siblings in self._path(player):
            c = len(siblings)
            choices = np.array(list(itertools.product([False, True], repeat=c)), bool).reshape(2**c, c)
            members = (choices.astype(np.int64) @ siblings) > 0
            chances = np.array([1 / ((c + 1) * math.comb(c, int(k))) for k in choices.sum(1)])
            found = (found[:, None] | members[None]).reshape(-1, self.players)
            weight = (weight[:, None] * chances[None]).ravel()
        return found, weight

    def _path(self, player: int) -> list[Array]:
        """Return the siblings of all nodes on the way to a player: bool (c, P) each."""
        made, node = [], self.tree.root
        while isinstance(node, tuple):
            member = [self._members(child) for child in node]
            own = next(k for k, m in enumerate(member) if m[player])
            made.append(np.array([m for k, m in enumerate(member) if k != own]).reshape(-1, self.players))
            node = node[own]
        return made

    def _members(self, node: Any) -> Array:
        member = np.zeros(self.players, bool)
        member[Tree(node).leaves()] = True
        return member

    @property
    def _inner(self) -> Array:
        """Which coalitions are neither empty nor full."""
        size = self._sums[0].sum(1)
        return np.asarray((size > 0) & (size < self.players))

    @property
    def sizes(self) -> tuple[int, ...]:
        """One round."""
        count = int(self._inner.sum())
        return (count,) if count else ()

    def draw(self, number: int) -> Listed:
        """Return all of them."""
        return Listed(self._sums[0][self._inner])

    def solve(self, scores: FloatArray, empty: FloatArray, full: FloatArray) -> Solved:
        """Return exact values."""
        sets, sums = self._sums
        games = np.empty((len(sets), len(full)))
        size = sets.sum(1)
        games[self._inner] = scores
        games[size == 0] = empty
        games[size == self.players] = full
        values = [w @ (games[with_it] - games[without]) for with_it, without, w in sums]
        return Solved.exact(np.stack(values, 1) if values else np.zeros((len(full), 0)))

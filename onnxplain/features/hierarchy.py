"""Hierarchies of players: which are taken together first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.errors import DataInputError, MethodError
from onnxplain.features.players import Players

__all__ = ["Tree", "correlated", "given_tree", "halves", "is_hierarchy", "nearby"]


@dataclass(frozen=True)
class Tree:
    """A hierarchy: each node is a player, or a tuple of nodes.

    Attributes
    ----------
    root
        Nested tuples of players, each once.
    """

    root: Any

    def order(self, random: np.random.Generator) -> IntArray:
        """Return players in an order in which those of every node stay together, all such equally likely."""
        made, waiting = [], [self.root]
        while waiting:
            node = waiting.pop()
            if isinstance(node, tuple):
                waiting.extend(node[k] for k in random.permutation(len(node)))
            else:
                made.append(node)
        return np.array(made, np.int64)

    def leaves(self) -> list[int]:
        """Return all players, from left to right."""
        made, waiting = [], [self.root]
        while waiting:
            node = waiting.pop()
            if isinstance(node, tuple):
                waiting.extend(reversed(node))
            else:
                made.append(int(node))
        return made


def halves(players: int) -> Tree:
    """Return the tree that halves players 0, 1, ... again and again."""

    def cut(first: int, last: int) -> Any:
        middle = (first + last) // 2
        return first if last - first == 1 else (cut(first, middle), cut(middle, last))

    return Tree(cut(0, players) if players else ())


def is_hierarchy(given: Sequence[Any]) -> bool:
    """Tell whether something may be one, of any number of players: see :func:`given_tree`."""
    numbers = list(_flat(given))
    if all(type(v) is int for v in numbers):
        return len(set(numbers)) == len(numbers) and min(numbers, default=0) >= 0
    return all(isinstance(v, float) and np.isfinite(v) for v in numbers) and not len(numbers) % 4


def given_tree(given: Sequence[Any], players: int) -> Tree:
    """Return a hierarchy that a user gives.

    Parameters
    ----------
    given
        Nested tuples of players; or a linkage as SciPy makes it, (P - 1, 4) rows of floats or all of its
        numbers in a row.
    players
        How many there must be.

    Raises
    ------
    MethodError
        If it is none, or has other players.
    """
    numbers = list(_flat(given))
    if numbers and all(isinstance(v, float) for v in numbers) and len(numbers) == 4 * (players - 1):
        nodes: list[Any] = list(range(players))
        for left, right in np.array(numbers).reshape(-1, 4)[:, :2].astype(int).tolist():
            if not 0 <= min(left, right) <= max(left, right) < len(nodes):
                raise MethodError(f"the linkage joins {left} and {right}, of {len(nodes)} that are there")
            nodes.append((nodes[left], nodes[right]))
        tree = Tree(nodes[-1])
    else:
        tree = Tree(given)
    if not all(isinstance(v, int) for v in _flat(tree.root)) or sorted(_flat(tree.root)) != list(
        range(players)
    ):
        raise MethodError(
            f"the hierarchy must hold each of the {players} players, 0 to {players - 1}, once, in nested "
            f"tuples (or be a linkage of {players - 1} rows of 4 floats); it holds {len(numbers)} numbers"
        )
    return tree


def _flat(node: Any) -> Any:
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if isinstance(at, (tuple, list)):
            waiting.extend(reversed(at))
        else:
            yield at


def nearby(players: Players, features: Mapping[str, Array]) -> Players:
    """Return players with other numbers, in each sample: those with near numbers lie near each other.

    Places are halved along their longest axis, again and again: the same tree (:func:`halves`) then joins
    neighbours in tokens, series and images.  Inputs are parted first.
    """
    lead = max(len(ids) for ids in players.ids.values())
    ranks = np.stack([_ranks(_centres(players, features, row)) for row in range(lead)])
    padded = np.concatenate([ranks, np.full((lead, 1), -1)], 1)
    ids = {}
    for name, own in players.ids.items():
        wide = np.broadcast_to(own, (lead, *own.shape[1:]))
        ids[name] = padded[np.arange(lead).reshape(lead, *(1,) * (wide.ndim - 1)), wide]
    return Players(ids, players.count)


def _centres(players: Players, features: Mapping[str, Array], row: int) -> FloatArray:
    """Return where players lie, (P, axes): inputs far apart; who has no elements is behind all others."""
    axes = max((v.ndim - 1 for v in features.values()), default=0)
    far = 1.0 + sum(v[0].size for v in features.values())
    total = np.zeros((players.count + 1, axes + 1))
    size = np.zeros(players.count + 1)
    for number, name in enumerate(features):
        ids = players.ids[name][min(row, len(players.ids[name]) - 1)]
        places = np.zeros((ids.size, axes + 1))
        places[:, 0] = far * number
        for axis, at in enumerate(np.indices(ids.shape).reshape(ids.ndim, -1)):
            places[:, axis + 1] = at
        np.add.at(total, ids.ravel(), places)
        np.add.at(size, ids.ravel(), 1)
    centres = total[:-1] / np.maximum(size[:-1], 1)[:, None]
    centres[size[:-1] == 0, 0] = far * len(features)
    return centres


def _ranks(centres: FloatArray) -> IntArray:
    """Return the number of each place, by halving along the longest axis."""
    ranks = np.zeros(len(centres), np.int64)
    waiting = [(np.arange(len(centres)), 0)]
    while waiting:
        own, first = waiting.pop()
        if len(own) < 2:
            ranks[own] = first
            continue
        here = centres[own]
        axis = int(np.argmax(here.max(0) - here.min(0)))
        own = own[np.argsort(here[:, axis], kind="stable")]
        middle = len(own) // 2
        waiting += [(own[:middle], first), (own[middle:], first + middle)]
    return ranks


def correlated(players: Players, background: Arrays) -> Tree:
    """Return the tree that joins players whose numbers in a background go together: ``1 - |correlation|``.

    Raises
    ------
    DataInputError
        If there is no background of numbers that vary.
    """
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    rows = len(next(iter(background.values()), ()))
    if rows < 3 or any(v.dtype.kind not in "fiub" for v in background.values()):
        raise DataInputError(
            "hierarchy='correlation' needs numbers in at least 3 rows of a background; give them as "
            "baselines, or a hierarchy of your own"
        )
    if players.count < 2:
        return halves(players.count)
    means = np.zeros((players.count + 1, rows))
    for name, ids in players.ids.items():
        np.add.at(means, ids[0].ravel(), background[name].reshape(rows, -1).astype(np.float64).T)
    centred = means[:-1] - means[:-1].mean(1, keepdims=True)
    length = np.sqrt((centred**2).sum(1, keepdims=True))
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    apart = np.clip(1 - np.abs(unit @ unit.T), 0, 1)
    np.fill_diagonal(apart, 0)
    return given_tree(
        [row.tolist() for row in linkage(squareform(apart, checks=False), "average")], players.count
    )

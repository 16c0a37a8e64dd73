"""The kernels of `trees` in NumPy: their definition, leaf by leaf; slow on large ensembles.

On the way to a leaf there are k players.  A row *agrees* with a player if it answers all nodes of that
player's columns as the path asks.  A leaf counts for a coalition if the explained row agrees with every
player in it, and the background row with every other.
"""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray

from onnxplain.kernels.ensemble import Ensemble, Floats, Ints, Mode, paths

__all__ = ["answers", "coalition_weight", "count", "leaves", "path_dependent", "rule", "scores", "values"]

Bools = NDArray[np.bool_]


def answers(ensemble: Ensemble, node: int, X: Floats) -> Bools:
    """Whether each row goes the true way at a node; ``X`` as `Ensemble.columns` gives it."""
    x, value, mode = X[:, ensemble.feature[node]], ensemble.threshold[node], ensemble.mode[node]
    if mode == Mode.MEMBER:
        found = np.isin(x, ensemble.members[ensemble.member_start[node] : ensemble.member_start[node + 1]])
    else:
        compare = (np.less_equal, np.less, np.greater_equal, np.greater, np.equal, np.not_equal)[mode]
        found = compare(x, value)
    return np.asarray(found | np.isnan(x) if ensemble.missing_true[node] else found, np.bool_)


def leaves(ensemble: Ensemble, X: Floats) -> Ints:
    """Return the leaf that each row reaches in each tree, (N, T)."""
    found = np.empty((len(X), ensemble.roots.size), np.int32)
    for tree, root in enumerate(ensemble.roots.tolist()):
        stack = [(root, np.arange(len(X)))]
        while stack:
            node, rows = stack.pop()
            if ensemble.mode[node] == Mode.LEAF:
                found[rows, tree] = node
            elif rows.size:
                true = answers(ensemble, node, X[rows])
                stack.append((int(ensemble.true_child[node]), rows[true]))
                stack.append((int(ensemble.false_child[node]), rows[~true]))
    return found


def count(ensemble: Ensemble, X: Floats) -> Floats:
    """Return how many rows reach each node, (K,)."""
    found = np.zeros(ensemble.mode.size)
    for root in ensemble.roots.tolist():
        stack = [(root, np.arange(len(X)))]
        while stack:
            node, rows = stack.pop()
            found[node] = rows.size
            if ensemble.mode[node] != Mode.LEAF:
                true = answers(ensemble, node, X[rows])
                stack.append((int(ensemble.true_child[node]), rows[true]))
                stack.append((int(ensemble.false_child[node]), rows[~true]))
    return found


def scores(ensemble: Ensemble, X: Floats) -> NDArray[np.floating]:
    """Aggregate the trees in their order and in the ensemble's dtype, without the base: (N, S)."""
    dtype, reached = np.dtype(ensemble.dtype), leaves(ensemble, X)
    weight = ensemble.leaf_weight.astype(dtype)
    total, seen = np.zeros((len(X), ensemble.n_scores), dtype), np.zeros((len(X), ensemble.n_scores), bool)
    combine = {"MIN": np.minimum, "MAX": np.maximum}.get(ensemble.aggregate)
    for tree in range(ensemble.roots.size):
        start, stop = ensemble.leaf_start[reached[:, tree]], ensemble.leaf_start[reached[:, tree] + 1]
        for step in range(int((stop - start).max(initial=0))):
            rows = np.flatnonzero(start + step < stop)
            target, new = ensemble.leaf_target[start[rows] + step], weight[start[rows] + step]
            old = total[rows, target]
            total[rows, target] = (
                old + new if combine is None else np.where(seen[rows, target], combine(old, new), new)
            )
            seen[rows, target] = True
    if ensemble.aggregate == "AVERAGE":
        total /= dtype.type(ensemble.roots.size)
    return total


def _agreement(
    ensemble: Ensemble, path: list[tuple[int, bool]], players: Ints, X: Floats
) -> tuple[Ints, Bools]:
    """Return the players of a path, (k,), and whether each row agrees with each, (N, k)."""
    owners = players[ensemble.feature[[node for node, _ in path]]] if path else np.empty(0, np.int32)
    distinct = np.unique(owners)
    agrees = np.ones((len(X), distinct.size), bool)
    for (node, way), slot in zip(path, np.searchsorted(distinct, owners), strict=True):
        agrees[:, slot] &= answers(ensemble, node, X) == way
    return distinct, agrees


def coalition_weight(a: NDArray[np.int64], b: NDArray[np.int64], index: str) -> Floats:
    """Weigh players that need a more with them and b without them: ``a! b! / (a + b + 1)!``, or 1/2^(a+b)."""
    if index == "banzhaf":
        return np.asarray(0.5 ** (a + b), np.float64)
    inverse = [
        1.0 / ((i + j + 1) * comb(i + j, i))
        for i, j in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)
    ]
    return np.reshape(inverse, a.shape)


def values(
    ensemble: Ensemble, X: Floats, background: Floats, players: Ints, n_players: int, index: str, order: int
) -> Floats:
    """Return the mean over background rows, (N, P, S), or (N, P, P, S) of order 2."""
    out = np.zeros((len(X), *(n_players,) * order, ensemble.n_scores))
    for leaf, path in paths(ensemble):
        owners, with_x = _agreement(ensemble, path, players, X)
        _, with_b = _agreement(ensemble, path, players, background)
        p, which = np.unique(with_x, axis=0, return_inverse=True)
        q, counts = np.unique(with_b, axis=0, return_counts=True)
        pros, cons = p[:, None] & ~q[None], ~p[:, None] & q[None]  # (P, Q, k)
        alive = ~(~p[:, None] & ~q[None]).any(axis=2) * (counts / len(background))
        a, b = pros.sum(axis=2), cons.sum(axis=2)
        sign = pros.astype(np.float64) - cons
        if order == 1:
            each = np.where(
                pros,
                coalition_weight(np.maximum(a - 1, 0), b, index)[..., None],
                coalition_weight(a, np.maximum(b - 1, 0), index)[..., None],
            )
            credit = np.einsum("pq,pqk,pqk->pk", alive, sign, each)
        else:
            credit = _pairs(alive, sign, a, b, index)
        _add(out, ensemble, leaf, owners, credit[which.ravel()])
    return out


def _pairs(alive: Floats, sign: Floats, a: NDArray[np.int64], b: NDArray[np.int64], index: str) -> Floats:
    """Credit of each two players of a path; a pair's weight counts those besides the two."""
    fewer = np.maximum
    both = coalition_weight(fewer(a - 2, 0), b, index)[..., None, None]
    neither = coalition_weight(a, fewer(b - 2, 0), index)[..., None, None]
    mixed = coalition_weight(fewer(a - 1, 0), fewer(b - 1, 0), index)[..., None, None]
    left, right = sign[..., :, None], sign[..., None, :]
    each = np.where(left * right < 0, mixed, np.where(left > 0, both, neither)) * left * right
    credit = np.einsum("pq,pqij->pij", alive, each)
    diagonal = np.arange(credit.shape[1])
    credit[:, diagonal, diagonal] = 0.0
    return np.asarray(credit, np.float64)


def path_dependent(
    ensemble: Ensemble, X: Floats, covers: Floats, players: Ints, n_players: int, index: str, order: int
) -> Floats:
    """Return the same for what is absent by the covers of the nodes: (N, P, S) or (N, P, P, S)."""
    out = np.zeros((len(X), *(n_players,) * order, ensemble.n_scores))
    for leaf, path in paths(ensemble):
        owners, agrees = _agreement(ensemble, path, players, X)
        share = np.ones(owners.size)
        for node, way in path:
            share[np.searchsorted(owners, players[ensemble.feature[node]])] *= cover_share(
                ensemble, covers, node, way
            )
        nodes, weights = rule(owners.size, index)
        p, which = np.unique(agrees, axis=0, return_inverse=True)
        credit = np.zeros((len(p), *(owners.size,) * order))
        for t, weight in zip(nodes, weights, strict=True):
            factor = t * p + (1 - t) * share
            for i in range(owners.size):
                alone = np.delete(factor, i, axis=1).prod(axis=1) * (p[:, i] - share[i]) * weight
                if order == 1:
                    credit[:, i] += alone
                    continue
                for j in set(range(owners.size)) - {i}:
                    rest = np.delete(factor, [i, j], axis=1).prod(axis=1) * weight
                    credit[:, i, j] += rest * (p[:, i] - share[i]) * (p[:, j] - share[j])
        _add(out, ensemble, leaf, owners, credit[which.ravel()])
    return out


def rule(players: int, index: str) -> tuple[Floats, Floats]:
    """Return points and weights of the integral over a path with that many players."""
    if index == "banzhaf":
        return np.full(1, 0.5), np.ones(1)
    points, weights = np.polynomial.legendre.leggauss(players // 2 + 1)
    return (points + 1) / 2, weights / 2


def cover_share(ensemble: Ensemble, covers: Floats, node: int, way: bool) -> float:
    """Return what share of a node's data goes one way; half where no data came."""
    true, false = covers[ensemble.true_child[node]], covers[ensemble.false_child[node]]
    whole = true + false
    return float((true if way else false) / whole) if whole > 0 else 0.5


def _add(out: Floats, ensemble: Ensemble, leaf: int, owners: Ints, credit: Floats) -> None:
    """Add credit, (N, k) or (N, k, k), times the leaf's weights, at the players' places."""
    places = np.ix_(*(owners,) * (credit.ndim - 1))
    for entry in range(ensemble.leaf_start[leaf], ensemble.leaf_start[leaf + 1]):
        where = (slice(None), *places, ensemble.leaf_target[entry])
        out[where] += credit * ensemble.leaf_weight[entry]

"""Tree ensembles on the GPU where it is asked for and there, in C++ where it is compiled, else in NumPy."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxplain.errors import MethodError
from onnxplain.kernels import tree_numpy
from onnxplain.kernels._native import core
from onnxplain.kernels.ensemble import Ensemble, Floats, Ints

__all__ = ["count", "scores", "values"]

_PLAYERS = 64  # of one path, at most: kMaxPathPlayers


def scores(ensemble: Ensemble, X: Floats) -> NDArray[np.floating[Any]]:
    """Aggregate the trees in their order and in the ensemble's dtype, without the base: (N, S)."""
    if core is None:
        return tree_numpy.scores(ensemble, X)
    out = np.empty((len(X), ensemble.n_scores), ensemble.dtype)
    core.tree_scores(_arrays(ensemble), ensemble.aggregate, X, out)
    if ensemble.aggregate == "AVERAGE":
        out /= out.dtype.type(ensemble.roots.size)
    return out


def count(ensemble: Ensemble, X: Floats) -> Floats:
    """Return how many rows reach each node, (K,)."""
    if core is None:
        return tree_numpy.count(ensemble, X)
    out = np.empty(ensemble.mode.size)
    core.tree_counts(_arrays(ensemble), X, out)
    return out


def values(
    ensemble: Ensemble,
    X: Floats,
    absent: Floats,
    players: Ints,
    n_players: int,
    index: str,
    order: int,
    device: str = "cpu",
) -> Floats:
    """Return values of the players, (N, P, S), or of each two, (N, P, P, S).

    Parameters
    ----------
    ensemble
        Trees that are added.
    X : ndarray, shape (N, C)
        Rows, as `Ensemble.columns` gives them.
    absent : ndarray, shape (M, C) or (K,)
        Background rows, or covers of the nodes.
    players : ndarray, shape (C,), int32
        Owner of each column, below ``n_players``.
    index : {"shapley", "banzhaf"}
        How changes are weighed.
    order : {1, 2}
        Of each player, or of each two.
    device : {"cpu", "cuda"}
        Where to compute; the CPU if there are no CUDA kernels or no GPU. Numbers agree but for rounding.

    Raises
    ------
    MethodError
        If a path asks for columns of more than 64 players, or is longer than 4,096 nodes.
    RuntimeError
        If the GPU fails, or its memory does not suffice.
    """
    if core is None:
        game = tree_numpy.values if absent.ndim == 2 else tree_numpy.path_dependent
        return game(ensemble, X, absent, players, n_players, index, order)
    out = np.zeros((len(X), *(n_players,) * order, ensemble.n_scores))
    rows, covers = (absent, np.zeros(0)) if absent.ndim == 2 else (np.zeros((0, X.shape[1])), absent)
    tables = (_weights(index), *_rules(index))
    flat = out.reshape(len(X), n_players**order * ensemble.n_scores)
    on_gpu = device == "cuda" and core.built_with_cuda and core.cuda_device_count() > 0
    run = core.cuda.tree_values if on_gpu else core.tree_values
    try:
        run(_arrays(ensemble), X, rows, covers, players, n_players, order, *tables, flat)
    except ValueError as error:
        raise MethodError(
            f"{ensemble.name}: {error}; use a sampling method such as kernel_shap, or players of more columns"
        ) from error
    return out


def _arrays(ensemble: Ensemble) -> Any:
    assert core is not None
    return core.Trees(
        ensemble.feature, ensemble.mode, ensemble.threshold, ensemble.true_child, ensemble.false_child,
        ensemble.missing_true, ensemble.member_start, ensemble.members, ensemble.leaf_start,
        ensemble.leaf_target, ensemble.leaf_weight, ensemble.roots, ensemble.n_scores,
    )  # fmt: skip


@lru_cache
def _weights(index: str) -> Floats:
    a, b = np.indices((_PLAYERS + 1, _PLAYERS + 1))
    return np.ascontiguousarray(tree_numpy.coalition_weight(a, b, index))


@lru_cache
def _rules(index: str) -> tuple[Floats, Floats]:
    """Points and weights of the rules for paths of 2r and 2r + 1 players, in row r."""
    size = _PLAYERS // 2 + 1
    points, weights = np.zeros((size, size)), np.zeros((size, size))
    for r in range(size):
        found = tree_numpy.rule(2 * r, index)
        points[r, : found[0].size], weights[r, : found[0].size] = found
    return points, weights

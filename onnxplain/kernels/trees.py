"""Tree ensembles: predictions, and exact Shapley and Banzhaf values of their scores.

A *player* owns one column or several (``players[c]`` is the owner of column c), so that the columns that an
encoder made out of one are explained as that one.  Two games:

* *interventional*: what is absent is drawn from background rows, all of it from one row;
  ``v(S) = mean_b f(x_S, b_{not S})``
* *path-dependent*: at a node of an absent player both ways are gone, weighted with the shares of the training
  data that went there (the nodes' covers).

Explained are raw scores: sums over the trees, before the last transform.

What a leaf gives to the players depends only on which of the k players on the way to it the explained row
and the background row agree with.  So rows are grouped by that (Woodelf does the same), and with N rows and
M background rows a tree of L leaves takes ``O(L (N k + M + pairs))``: pairs of groups that can reach the
leaf together, at most ``3^k`` and at most the product of the numbers of distinct rows.  N times M is never
paid where paths are short; a background is grouped anew for each 65,536 rows.  The path-dependent game takes
``O(L (N k + groups k^2))``, with at most ``2^k`` groups.  Threads divide the trees, and the rows where there
are fewer trees; a row's values do not depend on the other rows, nor on the number of threads.  Beside arrays
and result, memory is ``O((N + M) depth)`` for each thread.

On a GPU leaves are independent of each other: ``O(L (N + M) d)`` for paths of d nodes, ``O(L 3^k k)`` for the
pairs of masks, and for paths of more than 10 players ``O(L N M)`` comparisons of two words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from onnxplain.errors import DataInputError, MethodError
from onnxplain.kernels import tree_dispatch
from onnxplain.kernels._native import as_aligned
from onnxplain.kernels.ensemble import Ensemble, Floats, Ints
from onnxplain.kernels.tree_outputs import columns_of, transformed

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["count_covers", "interactions", "interventional", "path_dependent", "predict"]

_INDICES = ("shapley", "banzhaf")


def predict(ensemble: Ensemble, X: ArrayLike, *, raw: bool = False) -> NDArray[np.floating[Any]]:
    """Compute the ensemble's output as onnxruntime does.

    Parameters
    ----------
    ensemble
        The trees.
    X : array_like, shape (N, C)
        Rows, with at least ``ensemble.n_columns`` columns.
    raw
        Leave out the last transform: the scores that Shapley values add up to.

    Returns
    -------
    ndarray, shape (N, n_outputs), dtype of the model's output
        Weights are added in the order of the trees and in the ensemble's dtype.

    Raises
    ------
    DataInputError
        If X is no table with enough columns.
    """
    table = _table(ensemble, X, "X")
    summed = tree_dispatch.scores(ensemble, table)
    outputs = columns_of(ensemble, summed + ensemble.base.astype(summed.dtype))
    return (outputs if raw else transformed(ensemble, outputs)).astype(ensemble.output_dtype)


def interventional(
    ensemble: Ensemble,
    X: ArrayLike,
    background: ArrayLike,
    players: ArrayLike | None = None,
    n_players: int | None = None,
    *,
    index: str = "shapley",
    device: str = "cpu",
) -> Floats:
    r"""Exact Shapley (or Banzhaf) values with absent columns drawn from background rows.

    .. math:: \phi_i = \frac{1}{M} \sum_b \sum_{leaves} w
              \begin{cases} (a-1)!\,b!/(a+b)! & i \in A\\ -a!\,(b-1)!/(a+b)! & i \in B\end{cases}

    where on the way to a leaf the explained row alone agrees with the a players of A, and the background row
    alone with the b players of B; a leaf where some player agrees with neither counts nothing.

    Parameters
    ----------
    ensemble
        The trees; their aggregate must be a sum or an average.
    X : array_like, shape (N, C)
        Rows to explain.
    background : array_like, shape (M, C)
        Rows that stand for what is absent.
    players : array_like of int, shape (C,), optional
        Owner of each column; by default each column is a player.
    n_players
        Number of players P; by default one more than the largest owner.
    index : {"shapley", "banzhaf"}
        Which value.
    device : {"cpu", "cuda"}
        Where to compute; the CPU where there is no GPU, or no kernels for it.

    Returns
    -------
    ndarray, shape (N, P, n_outputs), float64
        For Shapley values, the sum over players is the raw score minus its mean over the background.

    Raises
    ------
    DataInputError
        If the tables are empty or do not fit, or the owners are not numbers of players.
    MethodError
        If the trees are aggregated by a minimum or maximum, or the index is unknown.
    """
    checked, table, owners, number = _checked(ensemble, X, players, n_players, index)
    rows = _background(ensemble, background, table)
    return _paired(ensemble, tree_dispatch.values(checked, table, rows, owners, number, index, 1, device))


def path_dependent(
    ensemble: Ensemble,
    X: ArrayLike,
    players: ArrayLike | None = None,
    n_players: int | None = None,
    covers: ArrayLike | None = None,
    *,
    index: str = "shapley",
    device: str = "cpu",
) -> Floats:
    r"""Exact Shapley (or Banzhaf) values with absent columns weighted by the nodes' covers.

    .. math:: \phi_i = \sum_{leaves} w (x_i - r_i) \int_0^1 \prod_{j \ne i} (t x_j + (1 - t) r_j) dt

    where x is 1 for players that the row agrees with, else 0, and r is the product of the shares of the
    covers along the player's nodes; the integral is a Gauss-Legendre sum that is exact for its degree
    (Banzhaf values are the integrand at t = 1/2).

    Parameters
    ----------
    ensemble, X, players, n_players, index, device
        As in `interventional`.
    covers : array_like, shape (K,), optional
        Weight of the data at each node; by default the model's own. `count_covers` makes them from data.

    Returns
    -------
    ndarray, shape (N, P, n_outputs), float64

    Raises
    ------
    DataInputError
        As in `interventional`, and if the covers are not one finite number of at least 0 for each node.
    MethodError
        As in `interventional`, and if there are no covers.
    """
    checked, table, owners, number = _checked(ensemble, X, players, n_players, index)
    weights = _covers(ensemble, covers)
    return _paired(ensemble, tree_dispatch.values(checked, table, weights, owners, number, index, 1, device))


def interactions(
    ensemble: Ensemble,
    X: ArrayLike,
    players: ArrayLike | None = None,
    n_players: int | None = None,
    *,
    background: ArrayLike | None = None,
    covers: ArrayLike | None = None,
    index: str = "shapley",
    device: str = "cpu",
) -> Floats:
    """Interaction values of each two players, and what is left to each alone.

    Off the diagonal is half of the Shapley (or Banzhaf) interaction index of the two; the diagonal is the
    player's value less its row, so that each row sums to the player's value, as in shap.

    Parameters
    ----------
    ensemble, X, players, n_players, index, device
        As in `interventional`.
    background : array_like, shape (M, C), optional
        Rows that stand for what is absent; without them the game is the path-dependent one.
    covers : array_like, shape (K,), optional
        As in `path_dependent`.

    Returns
    -------
    ndarray, shape (N, P, P, n_outputs), float64
        Symmetric in the two players.

    Raises
    ------
    DataInputError, MethodError
        As in `interventional` and `path_dependent`.
    """
    checked, table, owners, number = _checked(ensemble, X, players, n_players, index)
    absent = _covers(ensemble, covers) if background is None else _background(ensemble, background, table)
    single, pairs = (
        tree_dispatch.values(checked, table, absent, owners, number, index, order, device) for order in (1, 2)
    )
    pairs /= 2
    diagonal = np.arange(number)
    pairs[:, diagonal, diagonal] = single - pairs.sum(axis=2)
    return _paired(ensemble, pairs)


def count_covers(ensemble: Ensemble, X: ArrayLike) -> Floats:
    """Count how many rows of X, (N, C), reach each node: (K,).

    Raises
    ------
    DataInputError
        If X is no table with enough columns, or is empty.
    """
    table = _table(ensemble, X, "the data")
    if not len(table):
        raise DataInputError(f"{ensemble.name}: the data to count covers with is empty; give rows")
    return tree_dispatch.count(ensemble, table)


def _table(ensemble: Ensemble, X: ArrayLike, what: str) -> Floats:
    table = np.asarray(X)
    if table.ndim != 2 or table.dtype.kind not in "fiub":
        raise DataInputError(
            f"{ensemble.name}: {what} must be a table of numbers, (rows, columns), not "
            f"{table.dtype} of shape {table.shape}"
        )
    if table.shape[1] < ensemble.n_columns:
        raise DataInputError(
            f"{ensemble.name}: {what} has {table.shape[1]} columns, the trees ask for column "
            f"{ensemble.n_columns - 1}; give at least {ensemble.n_columns}"
        )
    return ensemble.columns(table)


def _background(ensemble: Ensemble, background: ArrayLike, table: Floats) -> Floats:
    rows = _table(ensemble, background, "the background")
    if not len(rows):
        raise DataInputError(f"{ensemble.name}: the background is empty; give at least one row")
    if rows.shape[1] != table.shape[1]:
        raise DataInputError(
            f"{ensemble.name}: the background has {rows.shape[1]} columns, X has {table.shape[1]}; "
            "give both the same columns"
        )
    return rows


def _covers(ensemble: Ensemble, covers: ArrayLike | None) -> Floats:
    if covers is None and ensemble.covers is None:
        raise MethodError(
            f"{ensemble.name}: the model does not say how much data reached its nodes (nodes_hitrates is "
            "absent or does not add up); give covers, for example count_covers of a data set, or a background"
        )
    found = as_aligned(ensemble.covers if covers is None else covers, np.float64)
    if found.shape != ensemble.mode.shape or not np.isfinite(found).all() or found.min() < 0:
        raise DataInputError(
            f"{ensemble.name}: covers must be one finite number of at least 0 for each of the "
            f"{ensemble.mode.size} nodes; the shape is {found.shape}"
        )
    return found


def _checked(
    ensemble: Ensemble, X: ArrayLike, players: ArrayLike | None, n_players: int | None, index: str
) -> tuple[Ensemble, Floats, Ints, int]:
    """Return the ensemble as a sum, the table, the owner of each column, and the number of players."""
    if not ensemble.additive:
        raise MethodError(
            f"{ensemble.name}: its trees are aggregated by {ensemble.aggregate}, not added; "
            "use a sampling method such as kernel_shap"
        )
    if index not in _INDICES:
        raise MethodError(f"index must be one of {', '.join(_INDICES)}, not {index!r}")
    table = _table(ensemble, X, "X")
    owners = np.arange(table.shape[1]) if players is None else np.asarray(players)
    number = int(owners.max(initial=-1)) + 1 if n_players is None else n_players
    if owners.shape != (table.shape[1],) or owners.dtype.kind not in "iu":
        raise DataInputError(f"players must be one whole number for each of the {table.shape[1]} columns")
    if owners.size and (owners.min() < 0 or owners.max() >= number):
        raise DataInputError(
            f"players must lie in 0 to {number - 1}; they go from {owners.min()} to {owners.max()}"
        )
    return ensemble.as_sum(), table, as_aligned(owners, np.int32), number


def _paired(ensemble: Ensemble, values: Floats) -> Floats:
    """Turn values of scores, (..., S), into values of outputs, (..., n_outputs)."""
    return np.concatenate([-values, values], axis=-1) if ensemble.pair else values

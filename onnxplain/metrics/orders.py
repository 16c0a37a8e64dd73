"""In which order players are taken away, and what the scores on that way make of a curve."""

from __future__ import annotations

from typing import Literal

import numpy as np

from onnxplain._types import Array, FloatArray, IntArray
from onnxplain.metrics.trial import Trial

__all__ = ["Order", "area", "gone_after", "listed", "means", "nobody", "ranks", "sizes", "there_after", "way"]

#: Whose attribution is largest goes first, or whose is smallest.
Order = Literal["morf", "lerf"]


def ranks(trial: Trial, *, descending: bool = True, weights: FloatArray | None = None) -> IntArray:
    """Return each player's place, int64 (n, P), in the order of attributions; who is not there comes last.

    Equal attributions keep the order of their players.

    Parameters
    ----------
    trial
        The samples.
    descending
        Whether the highest comes first.
    weights
        (n, P): what is ordered instead of the attributions.
    """
    weights = trial.weights if weights is None else weights
    keys = -weights if descending else weights
    order = np.argsort(np.where(trial.present, keys, np.inf), axis=1, kind="stable")
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(order.shape[1])[None], axis=1)
    return places


def means(trial: Trial) -> FloatArray:
    """Return the mean attribution of each player's elements, (n, P); 0 of who is not there."""
    if trial.pooled:  # its elements each hold the whole
        return trial.weights
    found: FloatArray = trial.weights / np.maximum(sizes(trial), 1)
    return found


def sizes(trial: Trial) -> IntArray:
    """Return how many elements each player has, int64 (n, P)."""
    counts = np.zeros((trial.n, trial.players.count + 1), np.int64)
    for ids in trial.players.ids.values():
        full = np.broadcast_to(ids, (trial.n, *ids.shape[1:])).reshape(trial.n, -1)
        np.add.at(counts, (np.arange(trial.n)[:, None], full), 1)
    return counts[:, :-1]


def way(
    trial: Trial, *, in_step: int | None = None, n_steps: int | None = None
) -> tuple[IntArray, FloatArray]:
    """Return how many players are gone after each step of the whole way, and which share of them.

    A sample that is through sooner than others stays at the end.

    Parameters
    ----------
    trial
        The samples.
    in_step
        How many leave at once; or else
    n_steps
        into how many steps the way is cut at most, equal ones but for the last.

    Returns
    -------
    int64 (n, K), from 0 to all; float64 (n, K), from 0 to 1 (0 where nobody plays).
    """
    there = trial.present.sum(1)[:, None]
    each = np.maximum(-(-there // n_steps), 1) if n_steps is not None else np.full_like(there, in_step or 1)
    steps = int((-(-there // each)).max(initial=0))
    counts = np.minimum(np.arange(steps + 1) * each, there)
    return counts, counts / np.maximum(there, 1)


def gone_after(trial: Trial, places: IntArray, counts: IntArray) -> FloatArray:
    """Return the scores where the first players are gone, float64 (n, K).

    Parameters
    ----------
    trial
        The samples.
    places
        (n, P): each player's place in the order.
    counts
        (n, K): how many are gone.
    """

    def kept(steps: slice, rows: IntArray) -> Array:
        stays: Array = places[None, rows] >= counts[rows, steps].T[:, :, None]
        return stays

    return trial.without(counts.shape[1], kept)


def there_after(trial: Trial, places: IntArray, counts: IntArray) -> FloatArray:
    """Return the scores where only the first players are there, float64 (n, K); see :func:`gone_after`."""

    def kept(steps: slice, rows: IntArray) -> Array:
        stays: Array = places[None, rows] < counts[rows, steps].T[:, :, None]
        return stays

    return trial.without(counts.shape[1], kept)


def area(at: FloatArray, values: FloatArray) -> FloatArray:
    """Return the area under curves, (n,), by the trapezoidal rule, over the length of the way.

    Parameters
    ----------
    at
        (K,) or (n, K): where.
    values
        (n, K).

    Returns
    -------
    NaN where the way has no length.
    """
    at = np.broadcast_to(at, values.shape)
    sides = (values[:, 1:] + values[:, :-1]) / 2
    length = at[:, -1] - at[:, 0]
    total: FloatArray = (sides * np.diff(at, axis=1)).sum(1) / np.where(length > 0, length, np.nan)
    return total


def nobody(trial: Trial) -> tuple[str, ...]:
    """Return a note on samples in which nobody plays; none if there are none."""
    empty = np.flatnonzero(~trial.present.any(1))
    if not len(empty):
        return ()
    return (f"nobody plays in sample {listed(empty)} (the feature_mask is -1 there), so its value is NaN",)


def listed(samples: IntArray) -> str:
    """Write the numbers of samples, the first of them if they are many."""
    return ", ".join(map(str, samples[:5])) + (", ..." if len(samples) > 5 else "")

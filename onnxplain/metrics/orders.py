"""In which order players are taken away, and what the scores on that way make of a curve."""

from __future__ import annotations

import numpy as np

from onnxplain._types import Array, FloatArray, IntArray
from onnxplain.metrics.trial import Trial

__all__ = ["area", "gone_after", "ranks"]


def ranks(trial: Trial, *, descending: bool = True) -> IntArray:
    """Return each player's place, int64 (n, P), in the order of attributions; who is not there comes last.

    Equal attributions keep the order of their players.
    """
    weights = trial.weights
    keys = -weights if descending else weights
    order = np.argsort(np.where(trial.present, keys, np.inf), axis=1, kind="stable")
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(order.shape[1])[None], axis=1)
    return places


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


def area(at: FloatArray, values: FloatArray) -> FloatArray:
    """Return the area under curves, (n,), by the trapezoidal rule, over the length of the way.

    Parameters
    ----------
    at
        (K,) or (n, K): where.
    values
        (n, K).
    """
    at = np.broadcast_to(at, values.shape)
    sides = (values[:, 1:] + values[:, :-1]) / 2
    length = at[:, -1] - at[:, 0]
    total: FloatArray = (sides * np.diff(at, axis=1)).sum(1) / np.where(length > 0, length, 1)
    return total

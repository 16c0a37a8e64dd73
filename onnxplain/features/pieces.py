"""Cutting space or time: into equal pieces, or where the level of a series changes."""

from __future__ import annotations

import heapq

import numpy as np

from onnxplain._types import Array, FloatArray, IntArray, Shape

__all__ = ["equal_pieces", "levels"]


def equal_pieces(shape: Shape, count: int) -> IntArray:
    """Cut space into a grid of about ``count`` cells, as near to cubes as whole numbers allow."""
    side = (float(np.prod(shape)) / count) ** (1 / len(shape))
    cuts = [min(length, max(1, round(length / side))) for length in shape]
    along = [np.arange(length) * c // length for length, c in zip(shape, cuts, strict=True)]
    grids = np.meshgrid(*along, indexing="ij")
    return np.asarray(np.ravel_multi_index(tuple(grids), tuple(cuts)), np.int64)


def levels(series: Array, count: int, shortest: int = 1) -> IntArray:
    """Cut a series where its level changes most, piece by piece.

    Parameters
    ----------
    series
        (L, C).
    count
        How many pieces at most; fewer where nothing changes any more.
    shortest
        Steps of the shortest piece.

    Returns
    -------
    (L,): the piece of each step, from 0.
    """
    length = len(series)
    sums = np.concatenate([np.zeros((1, series.shape[1])), np.cumsum(series, 0, dtype=np.float64)])
    least = 1e-12 * float(np.square(series, dtype=np.float64).sum())
    pieces = [_best_cut(sums, 0, length, shortest)]
    cuts: list[int] = []
    while pieces and len(cuts) < count - 1:
        loss, start, cut, stop = heapq.heappop(pieces)
        if -loss <= least:
            break
        cuts.append(cut)
        for a, b in ((start, cut), (cut, stop)):
            heapq.heappush(pieces, _best_cut(sums, a, b, shortest))
    return np.searchsorted(np.sort(cuts), np.arange(length), side="right").astype(np.int64)


def _best_cut(sums: FloatArray, start: int, stop: int, shortest: int) -> tuple[float, int, int, int]:
    """Return minus what the best cut takes from the squared deviation, with start, cut and stop."""
    cuts = np.arange(start + shortest, stop - shortest + 1)
    if not len(cuts):
        return 0.0, start, start, stop
    left, right = cuts - start, stop - cuts
    gap = (sums[cuts] - sums[start]) / left[:, None] - (sums[stop] - sums[cuts]) / right[:, None]
    gain = left * right / (stop - start) * np.square(gap).sum(1)
    best = int(np.argmax(gain))
    return -float(gain[best]), start, int(cuts[best]), stop

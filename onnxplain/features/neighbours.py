"""Gaps in images, filled from what lies around them."""

from __future__ import annotations

import numpy as np

from onnxplain._types import Array, FloatArray

__all__ = ["filled"]

#: How much each of the eight neighbours counts: those beside a place twice as much as those at its corners.
_NEAR = {
    (dy, dx): 1 / 6 if dy == 0 or dx == 0 else 1 / 12
    for dy in (-1, 0, 1)
    for dx in (-1, 0, 1)
    if (dy, dx) != (0, 0)
}


def filled(image: Array, gone: Array) -> FloatArray:
    """Return an image whose gaps are linear in what lies around: each place the mean of its neighbours.

    Solves, for all places in gaps at once, ``x_i = sum_j w_ij x_j / sum_j w_ij`` over the up to eight
    neighbours j of place i in the image, with weights of 1/6 beside and 1/12 at corners (Rong et al. 2022).

    Parameters
    ----------
    image
        (H, W, C).
    gone
        Bool (H, W): the gaps; something must be left.

    Returns
    -------
    float64 (H, W, C).
    """
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    made: FloatArray = image.astype(np.float64)
    count = int(gone.sum())
    if not count:
        return made
    height, width = gone.shape
    numbers = np.full((height + 2, width + 2), -2, np.int64)  # -2 is outside, -1 is known
    numbers[1:-1, 1:-1][gone] = np.arange(count)
    numbers[1:-1, 1:-1][~gone] = -1
    known = np.zeros((height + 2, width + 2, image.shape[2]))
    known[1:-1, 1:-1] = np.where(gone[..., None], 0.0, made)
    y, x = np.nonzero(gone)
    total, right = np.zeros(count), np.zeros((count, image.shape[2]))
    rows, columns, entries = [np.arange(count)], [np.arange(count)], []
    for (dy, dx), weight in _NEAR.items():
        near = numbers[y + 1 + dy, x + 1 + dx]
        total += weight * (near != -2)
        right += weight * known[y + 1 + dy, x + 1 + dx]
        unknown = np.flatnonzero(near >= 0)
        rows.append(unknown)
        columns.append(near[unknown])
        entries.append(np.full(len(unknown), -weight))
    entries.insert(0, total)
    left = csc_matrix(
        (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))), shape=(count, count)
    )
    # The matrix is symmetric, and its diagonal dominates: no pivots need to be looked for.
    solver = splu(left, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    made[gone] = solver.solve(right)
    return made

"""Gaussians of patches: what is likely in a window, given what lies around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from onnxplain._types import Array, FloatArray, IntArray, Shape
from onnxplain.errors import DataInputError

__all__ = ["Gaussian", "fit"]

_WIDEST = 2048  # numbers of a patch: its covariance is inverted
_MOST = 20_000  # patches that are looked at

#: How the numbers of a window follow from those around it: places, both kinds, slopes, root of what is left.
Part = tuple[IntArray, IntArray, FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A Gaussian of patches, the same wherever they lie.

    Attributes
    ----------
    patch
        Shape of a patch.
    mean, covariance
        Of its d numbers.
    low, high
        The least and the greatest value that was seen; draws are cut to these.
    """

    patch: Shape
    mean: FloatArray
    covariance: FloatArray
    low: float
    high: float
    _known: dict[tuple[Shape, Shape], Part] = field(default_factory=dict, repr=False)

    def drawn(self, x: Array, start: Sequence[int], window: Shape, normals: FloatArray) -> FloatArray:
        """Draw what lies in a window, given the rest of the patch around it.

        Parameters
        ----------
        x
            (n, ...).
        start, window
            Where the window begins along each axis of a sample, and how long it is there.
        normals
            (s, w): standard normal numbers, a row for each draw; w as many as in the largest window.

        Returns
        -------
        (s, n, ...) array: the window's contents.
        """
        first = tuple(
            min(max(a - (p - w) // 2, 0), length - p)
            for a, p, w, length in zip(start, self.patch, window, x.shape[1:], strict=True)
        )
        offset = tuple(a - f for a, f in zip(start, first, strict=True))
        inside, around, slopes, root = self._part(offset, window)
        where = (slice(None), *(slice(f, f + p) for f, p in zip(first, self.patch, strict=True)))
        flat = x[where].reshape(len(x), -1).astype(np.float64)
        middle = self.mean[inside] + (flat[:, around] - self.mean[around]) @ slopes
        made = middle + (normals[:, : len(inside)] @ root.T)[:, None]
        out: Array = made.clip(self.low, self.high).reshape(len(normals), len(x), *window)
        return out

    def _part(self, offset: Shape, window: Shape) -> Part:
        """Return what is known of a window at a place in a patch; worked out once."""
        if (offset, window) not in self._known:
            marked = np.zeros(self.patch, bool)
            marked[tuple(slice(a, a + w) for a, w in zip(offset, window, strict=True))] = True
            inside, around = np.flatnonzero(marked), np.flatnonzero(~marked)
            among = self.covariance[np.ix_(around, around)]
            across = self.covariance[np.ix_(around, inside)]
            slopes = np.linalg.lstsq(among, across, rcond=1e-10)[0] if len(around) else across
            left = self.covariance[np.ix_(inside, inside)] - across.T @ slopes
            sizes, axes = np.linalg.eigh((left + left.T) / 2)
            self._known[offset, window] = inside, around, slopes, axes * np.sqrt(np.maximum(sizes, 0))
        return self._known[offset, window]


def fit(rows: Array, patch: Shape, shrinkage: float, what: str) -> Gaussian:
    """Fit a Gaussian to all patches of rows.

    Parameters
    ----------
    rows
        (M, ...).
    patch
        Shape of a patch of a sample.
    shrinkage
        From 0 to 1: what part of the covariances is taken away; variances stay.
    what
        Name of the input, for errors.

    Raises
    ------
    DataInputError
        If rows are no floats, there are fewer than two patches, or these are too large.
    """
    size = math.prod(patch)
    if rows.dtype.kind != "f":
        raise DataInputError(
            f"{what} holds {rows.dtype}, and a Gaussian is of floats; draw what is usual there "
            "(sampler='marginal')"
        )
    if size > _WIDEST:
        raise DataInputError(
            f"a patch of {what} has {size} numbers, {patch}; at most {_WIDEST} can be fitted: give smaller "
            "sliding_window_shapes, or less padding"
        )
    axes = tuple(range(1, rows.ndim))
    views = np.lib.stride_tricks.sliding_window_view(rows, patch, axis=axes) if axes else rows[..., None]
    places = math.prod(views.shape[: rows.ndim])
    if places < 2 or (rows == rows[:1].flat[0]).all():
        raise DataInputError(
            f"conditional draws for {what} need several rows of a background: baselines=ox.Background(rows)"
        )
    chosen = np.unique(np.linspace(0, places - 1, min(places, _MOST)).astype(np.int64))
    seen = views[np.unravel_index(chosen, views.shape[: rows.ndim])].reshape(len(chosen), size)
    seen = seen.astype(np.float64)
    covariance = np.cov(seen, rowvar=False).reshape(size, size)
    covariance = (1 - shrinkage) * covariance + shrinkage * np.diag(np.diag(covariance))
    return Gaussian(patch, seen.mean(0), covariance, float(rows.min()), float(rows.max()))

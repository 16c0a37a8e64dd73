"""Regions of images at several scales, and which of them bear the most per element."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from onnxplain._types import Array, FloatArray, IntArray

__all__ = ["dilated", "ranked", "segmented"]


def segmented(
    image: FloatArray, scales: Sequence[float], sigma: float, min_size: int, side: int | None
) -> list[IntArray]:
    """Segment an image (Felzenszwalb and Huttenlocher 2004), once for each scale.

    Parameters
    ----------
    image
        (H, W, C); its numbers are brought to -1..1.
    scales
        Larger makes larger segments.
    sigma
        Of the Gaussian that smooths before.
    min_size
        Pixels of the smallest segment.
    side
        Height and width that the image is scaled to for it; None: as it is.

    Returns
    -------
    By scale (H, W): numbers of segments.
    """
    from skimage.segmentation import felzenszwalb
    from skimage.transform import resize

    low, high = image.min(), image.max()
    scaled = 2 * (image - low) / (high - low or 1) - 1
    shape = image.shape[:2]
    if side is not None:
        scaled = resize(
            scaled, (side, side), order=3, mode="constant", preserve_range=True, anti_aliasing=True
        )
    made = []
    for scale in scales:
        with warnings.catch_warnings():  # of more than three channels: they are meant
            warnings.simplefilter("ignore", RuntimeWarning)
            ids = felzenszwalb(scaled, scale=scale, sigma=sigma, min_size=min_size)
        if side is not None:
            ids = resize(ids, shape, order=0, mode="constant", preserve_range=True, anti_aliasing=False)
        made.append(ids.astype(np.int64))
    return made


def dilated(segments: Iterable[IntArray], radius: int) -> Array:
    """Return a mask of each segment of each map, bool (M, H W), grown by a radius; -1 is in none."""
    from skimage.morphology import isotropic_dilation

    masks = [ids == k for ids in segments for k in np.unique(ids[ids >= 0])]
    grown = [isotropic_dilation(mask, radius) if radius else mask for mask in masks]
    return np.array([mask.ravel() for mask in grown], bool)


def ranked(
    masks: Array, values: FloatArray, least: int, area: float = 1.0, *, fast: bool = False
) -> tuple[FloatArray, IntArray]:
    """Take regions one after the other, always the one whose new elements have the largest mean.

    Parameters
    ----------
    masks
        Regions, bool (M, P), that may overlap.
    values
        (P,).
    least
        Regions with fewer new elements are left out.
    area
        Stop once more than this part of the elements is covered.
    fast
        Rank regions once, by the mean over all of their elements.

    Returns
    -------
    (P,): the mean of what came with the element, for those left over of all that are; and int64 (P,): the
    place of what came with it, from 1 for the largest mean.
    """
    out, free = np.full(values.shape, -np.inf), np.ones(values.shape, bool)
    counts, sums = masks.sum(1), _sums(masks, values)
    alive = np.ones(len(masks), bool)
    taken: list[tuple[float, Array]] = []
    order = iter(np.argsort(-sums / np.maximum(counts, 1), kind="stable")) if fast else None
    while fast or 1 - free.mean() <= area:
        if order is not None:
            best = next(order, None)
        else:
            alive &= counts >= least
            means = np.where(alive, sums / np.maximum(counts, 1), -np.inf)
            best = np.argmax(means) if alive.any() else None
        if best is None:
            break
        alive[best] = False
        new = masks[best] & free
        if new.sum() < max(least, 1):
            continue
        taken.append((float(values[new].mean()), new))
        out[new] = taken[-1][0]
        free &= ~new
        if order is None:
            gone = masks[:, new]
            counts, sums = counts - gone.sum(1), sums - _sums(gone, values[new])
    ranks = np.zeros(values.shape, np.int64)
    for place, (_, new) in enumerate(sorted(taken, key=lambda t: -t[0]), 1):
        ranks[new] = place
    if free.any():
        out[free], ranks[free] = values[free].mean(), len(taken) + 1
    return out, ranks


def _sums(masks: Array, values: FloatArray) -> FloatArray:
    """Return the sum of values under each mask."""
    return np.array([values[mask].sum() for mask in masks])

"""Mosaics of images of several classes, whose parts are ground truth (Arias-Duart et al. 2021)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxplain._types import Array, ArrayLike, IntArray
from onnxplain.errors import DataInputError
from onnxplain.features.places import channel_axis
from onnxplain.inputs import as_array
from onnxplain.options import Count, Seed, check_option

__all__ = ["Mosaics", "mosaics", "quadrants"]


@dataclass(frozen=True, eq=False)
class Mosaics:
    """M mosaics of four images each.

    Attributes
    ----------
    images
        (M, ...): twice as high and as wide as the images they are made of.
    masks
        Bool (M, ...): where the images of the target class lie; one channel where images have channels.
    target
        (M,): the target class of each.
    positions
        Bool (M, 4): whether upper left, upper right, lower left and lower right are of that class.
    indices
        int64 (M, 4): which images they are.
    labels
        (M, 4): of which classes.
    """

    images: Array
    masks: Array
    target: Array
    positions: Array
    indices: IntArray
    labels: Array


def mosaics(images: ArrayLike, labels: ArrayLike, mosaics_per_class: int, *, seed: int = 0) -> Mosaics:
    """Make mosaics: for each class some of two of its images and two of other classes, in random places.

    Images of a class are used again only when all were used.  The other classes take part equally often.

    Parameters
    ----------
    images
        (N, H, W), or with channels, first or last.
    labels
        (N,): the class of each.
    mosaics_per_class
        How many for each class.
    seed
        Same seed, same mosaics; from 1 on they are those of Quantus's ``mosaic_creation``.

    Raises
    ------
    DataInputError
        If images and labels do not fit, or there are fewer than two classes.
    """
    mosaics_per_class = check_option("mosaics_per_class", mosaics_per_class, Count)
    seed = check_option("seed", seed, Seed)
    pictures, classes = as_array(images, "the images"), as_array(labels, "the labels")
    _space(pictures.shape)
    if classes.shape != pictures.shape[:1]:
        raise DataInputError(
            f"there are {len(pictures)} images, and labels of shape {classes.shape}; give each image one"
        )
    kinds = np.unique(classes)
    if len(kinds) < 2:
        raise DataInputError("all images are of one class; a mosaic takes images of two classes or more")
    draw = random.Random(seed)
    indices = np.array([four for kind in kinds for four in _fours(draw, classes, kind, mosaics_per_class)])
    target = kinds.repeat(mosaics_per_class)
    positions = classes[indices] == target[:, None]
    made = _laid(pictures[indices])
    return Mosaics(made, quadrants(positions, made.shape[1:]), target, positions, indices, classes[indices])


def quadrants(positions: ArrayLike, shape: Sequence[int]) -> Array:
    """Return the masks of mosaics, bool (M, ...), with one channel where the shape has channels.

    Parameters
    ----------
    positions
        (M, 4): which of upper left, upper right, lower left and lower right are meant (Quantus's
        ``p_batch``).
    shape
        Of one mosaic: (H, W), (C, H, W) or (H, W, C).

    Raises
    ------
    DataInputError
        If they are something else.
    """
    chosen = as_array(positions, "the positions")
    if chosen.ndim != 2 or chosen.shape[1] != 4:
        raise DataInputError(f"the positions have shape {chosen.shape}; give four for each mosaic, (M, 4)")
    rows, columns = _space((len(chosen), *shape))
    sides = [1 if axis not in (rows, columns) else n for axis, n in enumerate((len(chosen), *shape))]
    down = np.arange(sides[rows]) >= sides[rows] // 2
    right = np.arange(sides[columns]) >= sides[columns] // 2
    which = 2 * down[:, None] + right[None]
    return np.asarray((chosen > 0)[:, which].reshape(len(chosen), *sides[1:]))


def _space(shape: Sequence[int]) -> tuple[int, int]:
    """Return the axes of rows and of columns of images, (N, ...)."""
    if len(shape) not in (3, 4):
        raise DataInputError(f"images have the shape (N, H, W), or one axis more for channels, not {shape}")
    channels = channel_axis(tuple(shape[1:]))
    rows, columns = (axis for axis in range(1, len(shape)) if channels is None or axis != channels + 1)
    return rows, columns


def _fours(draw: random.Random, classes: Array, kind: object, count: int) -> list[list[int]]:
    """Return which images make the mosaics of one class."""
    own = np.flatnonzero(classes == kind).tolist()
    own = own * -(-2 * count // len(own))
    draw.shuffle(own)
    others = [k for k in np.unique(classes) if k != kind]
    each = -(-2 * count // len(others))
    rest: list[int] = []
    for other in others:
        rest += draw.choices(np.flatnonzero(classes == other).tolist(), k=each)
    draw.shuffle(rest)
    fours = []
    for m in range(count):
        four = [*own[2 * m : 2 * m + 2], *rest[2 * m : 2 * m + 2]]
        draw.shuffle(four)
        fours.append(four)
    return fours


def _laid(fours: Array) -> Array:
    """Lay images (M, 4, ...) out two by two."""
    rows, columns = _space((len(fours), *fours.shape[2:]))
    above, below = (np.concatenate([fours[:, k], fours[:, k + 1]], axis=columns) for k in (0, 2))
    return np.concatenate([above, below], axis=rows)

"""Players: which elements of the features are kept or taken away together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.errors import DataInputError
from onnxplain.features.places import space
from onnxplain.kernels import masked_batches as kernels

__all__ = ["Players", "along", "elements", "grouped", "patches", "pixels", "tiled"]


@dataclass(frozen=True, eq=False)
class Players:
    """Which elements of each feature belong to which player.

    Attributes
    ----------
    ids
        By feature: int64 (n, ...) or (1, ...) for all samples, from 0 to ``count - 1``; -1 is no player's.
    count
        How many there are.
    """

    ids: Mapping[str, IntArray]
    count: int

    def take(self, index: IntArray | slice) -> Players:
        """Return the players of some samples."""
        return Players({k: v if len(v) == 1 else v[index] for k, v in self.ids.items()}, self.count)

    def alike(self, n: int) -> list[tuple[IntArray, Players]]:
        """Sort n rows by who plays there: rows that have the same players, and these, counted anew from 0.

        Images have segments of their own, some more than others: a player who has no element in a row does
        not play there.
        """
        lead = max((len(v) for v in self.ids.values()), default=1)
        there = np.zeros((lead, self.count + 1), bool)  # the last one is nobody
        for ids in self.ids.values():
            there[
                np.arange(lead)[:, None], np.broadcast_to(ids, (lead, *ids.shape[1:])).reshape(lead, -1)
            ] = True
        sets, which = np.unique(there[:, :-1], axis=0, return_inverse=True)
        made = []
        for k, present in enumerate(sets):
            rows = np.flatnonzero(which.ravel() == k) if len(sets) > 1 else np.arange(n)
            anew = np.append(np.cumsum(present) - 1, -1)
            own = {name: anew[v] for name, v in self.take(rows).ids.items()}
            made.append((rows, Players(own, int(present.sum()))))
        return made

    def placed(self, n: int) -> list[IntArray]:
        """Sort n rows by where players are: the numbers of rows in which all have the same elements."""
        several = [v.reshape(len(v), -1) for v in self.ids.values() if len(v) > 1]
        if not several:
            return [np.arange(n)]
        _, which = np.unique(np.concatenate(several, 1), axis=0, return_inverse=True)
        return [np.flatnonzero(which.ravel() == k) for k in range(int(which.max(initial=0)) + 1)]

    def moving(self, x: Arrays, instead: Sequence[Mapping[str, Array]]) -> Players:
        """Leave out, row by row, those who bring what would stand there without them anyway.

        Parameters
        ----------
        x
            (n, ...) by feature: what players bring.
        instead
            What stands there without them: arrays that broadcast to the features.
        """
        n = len(next(iter(x.values())))
        moves = np.zeros((n, self.count + 1), bool)
        full = {k: np.broadcast_to(self.ids[k], v.shape) for k, v in x.items()}
        for name, values in x.items():
            other = np.zeros(values.shape, bool)
            for absent in instead:
                stand = absent[name]
                other |= (values != stand) & ((values == values) | (stand == stand))
            rows = np.broadcast_to(np.arange(n).reshape(n, *(1,) * (values.ndim - 1)), values.shape)
            moves[rows[other], full[name][other]] = True
        moves[:, -1] = False
        if moves[:, :-1].all():
            return self
        return Players(
            {
                k: np.where(moves[np.arange(n).reshape(n, *(1,) * (v.ndim - 1)), v], v, -1)
                for k, v in full.items()
            },
            self.count,
        )

    def repeated(self, repeats: int) -> Players:
        """Return the players of ``repeats`` copies of all samples, one after the other."""
        ids = {
            k: v if len(v) == 1 else np.tile(v, (repeats, *(1,) * (v.ndim - 1))) for k, v in self.ids.items()
        }
        return Players(ids, self.count)

    def chosen(
        self,
        x: Arrays,
        instead: Arrays,
        kept: Array,
        out: Mapping[str, Array | None] | None = None,
        which: IntArray | None = None,
    ) -> Arrays:
        """Take players away.

        Parameters
        ----------
        x, instead
            (n, ...) by feature: what players bring, and what stands there without them; the latter also
            (S, n, ...) or (S, 1, ...).
        kept
            bool (S, n, P) or (S, 1, P): who stays.
        out
            By feature, (S * n, ...): where to write; new arrays are made of those that are left out, or None.
        which
            (S,): entries of the first axis of ``instead``, which is then of any length, one for each choice.

        Returns
        -------
        dict of arrays (S * n, ...), the n rows of a choice next to each other.
        """
        out = out or {}
        return {k: kernels.choose(v, instead[k], self.ids[k], kept, out.get(k), which) for k, v in x.items()}

    def spread(self, numbers: FloatArray) -> dict[str, FloatArray]:
        """Give each element its player's number, (n, P) to (n, ...) by feature; 0 to nobody's."""
        padded = np.concatenate([numbers, np.zeros((len(numbers), 1), numbers.dtype)], 1)
        n = len(numbers)
        return {
            name: padded[np.arange(n).reshape(n, *(1,) * (ids.ndim - 1)), ids]
            for name, ids in self.ids.items()
        }


def elements(features: Arrays) -> Players:
    """Make every element a player of its own, counted through all features."""
    ids: dict[str, IntArray] = {}
    count = 0
    for name, array in features.items():
        size = int(np.prod(array.shape[1:], dtype=np.int64))
        ids[name] = np.arange(count, count + size, dtype=np.int64).reshape(1, *array.shape[1:])
        count += size
    return Players(ids, count)


def grouped(masks: Mapping[str, Array], features: Arrays) -> Players:
    """Make players of what has the same number in masks, across features.

    Parameters
    ----------
    masks
        Integers by feature, (1, ...) or (n, ...), which broadcast to it; -1 is no player's.  Features without
        a mask are players as a whole, one each.
    features
        What is varied, (n, ...) by name.

    Raises
    ------
    DataInputError
        If a mask does not fit.
    """
    full: dict[str, Array] = {}
    for name, array in features.items():
        if name not in masks:
            continue
        mask = masks[name]
        lead = len(mask) if mask.ndim == array.ndim and len(mask) == len(array) else 1
        try:
            full[name] = np.broadcast_to(mask, (lead, *array.shape[1:]))
        except ValueError:
            raise DataInputError(
                f"the feature_mask of '{name}' has shape {mask.shape}, which does not broadcast to "
                f"{array.shape}; give one number per element, for one sample or for each"
            ) from None
    own = np.unique(np.concatenate([m.ravel() for m in full.values()])) if full else np.zeros(0, np.int64)
    own = own[own >= 0]
    ids: dict[str, IntArray] = {}
    count = len(own)
    for name, array in features.items():
        if name in full:
            mask = full[name]
            ids[name] = np.where(mask < 0, -1, np.searchsorted(own, mask)).astype(np.int64)
        else:
            ids[name] = np.full((1, *array.shape[1:]), count, np.int64)
            count += 1
    return Players(ids, count)


def along(axis: int, features: Arrays) -> Players:
    """Make a player of each place along an axis of the features (-1: the last), counted through all of them.

    Features of which a sample is a single number are a player each.
    """
    ids: dict[str, IntArray] = {}
    count = 0
    for name, array in features.items():
        shape = (1, *array.shape[1:])
        k = axis % array.ndim if array.ndim > 1 else 0
        length = shape[k]
        places = np.arange(count, count + length, dtype=np.int64)
        ids[name] = np.broadcast_to(places.reshape([-1 if j == k else 1 for j in range(len(shape))]), shape)
        count += length
    return Players(ids, count)


def pixels(features: Arrays, channels: Mapping[str, int | None] | None = None) -> Players:
    """Make a player of each place along all axes but that of channels, counted through all features.

    Parameters
    ----------
    features
        What is varied, (n, ...) by name.
    channels
        The axis of channels by feature, samples first, where it is known; else it is guessed
        (:func:`~onnxplain.features.places.channel_axis`).
    """
    axes = {name: _space(name, array, channels) for name, array in features.items()}
    return _crossed(features, axes, lambda _, length: np.arange(length))


def patches(sizes: Mapping[str, int], features: Arrays, axes: Mapping[str, Sequence[int]]) -> Players:
    """Make players of patches of one size along some axes, what lies along others together.

    Where a length is no multiple of the size, the outer patches are cut, on both sides alike (the latter by
    one more).

    Parameters
    ----------
    sizes
        Places along each of the axes, by feature.
    features
        What is varied, (n, ...) by name.
    axes
        By feature, samples first.
    """

    def cell(name: str, length: int) -> IntArray:
        size = sizes[name]
        return (np.arange(length) + (-length % size) // 2) // size

    return _crossed(features, axes, cell)


def tiled(cells: int, features: Arrays) -> Players:
    """Make players of the cells of a grid over each feature's space, channels together, counted through all.

    Parameters
    ----------
    cells
        Along each axis of space; an axis that is no longer has one for each place.
    features
        What is varied, (n, ...) by name.
    """
    axes = {name: _space(name, array, None) for name, array in features.items()}
    return _crossed(
        features, axes, lambda _, length: np.arange(length) * min(cells, length) // max(length, 1)
    )


def _space(name: str, array: Array, channels: Mapping[str, int | None] | None) -> list[int]:
    """Return the axes of a feature, samples first, that are neither samples nor channels."""
    known = None if channels is None else channels.get(name)
    if known is None:
        return [axis + 1 for axis in space(array.shape[1:])]
    return [axis for axis in range(1, array.ndim) if axis != known]


def _crossed(
    features: Arrays, axes: Mapping[str, Sequence[int]], cell: Callable[[str, int], IntArray]
) -> Players:
    """Make players of the cells into which axes of features are cut, counted through all features.

    Parameters
    ----------
    features
        What is varied, (n, ...) by name.
    axes
        Which axes are cut, by feature, samples first.
    cell
        From a feature and an axis's length to the cell of each place along it, from 0.
    """
    ids: dict[str, IntArray] = {}
    count = 0
    for name, array in features.items():
        mine = np.zeros((1,) * array.ndim, np.int64)
        size = 1
        for axis in axes[name]:
            cells = cell(name, array.shape[axis])
            along = int(cells.max(initial=-1)) + 1
            mine = mine * along + cells.reshape([-1 if k == axis else 1 for k in range(array.ndim)])
            size *= along
        ids[name] = np.broadcast_to(mine + count, (1, *array.shape[1:]))
        count += size
    return Players(ids, count)

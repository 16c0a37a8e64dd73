"""Soft masks: numbers from 0 to 1 that say how much of a feature stays; the way back of their gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onnxplain._types import Array, FloatArray, IntArray, Shape
from onnxplain.features.players import Players

__all__ = ["Canvas", "OfPlayers", "canvas", "roughness"]


@dataclass(frozen=True, eq=False)
class Canvas:
    """A mask over some axes of a feature, shared along the others, maybe coarse: linear in its cells.

    Attributes
    ----------
    shape
        Of one sample of the feature.
    axes
        Which of them the mask has.
    maps
        For each: (length + room, cells), what each place gets of each cell; None where cells are places.
    """

    shape: Shape
    axes: tuple[int, ...]
    maps: tuple[FloatArray | None, ...]

    @property
    def cells(self) -> Shape:
        """Numbers of cells along the mask's axes."""
        return tuple(
            self.shape[axis] if m is None else m.shape[1]
            for axis, m in zip(self.axes, self.maps, strict=True)
        )

    def spread(self, mask: FloatArray, shift: IntArray) -> FloatArray:
        """Return a mask, (n, *cells), at the places of its feature: broadcasts to (n, ...).

        Parameters
        ----------
        mask
            The cells.
        shift
            By which place the canvas begins, along each axis; it has room for some.
        """
        for k, part in self._parts(shift):
            mask = np.moveaxis(np.tensordot(mask, part, (k + 1, 1)), -1, k + 1)
        own = [length if axis in self.axes else 1 for axis, length in enumerate(self.shape)]
        return mask.reshape(len(mask), *own)

    def gather(self, gradient: Array, shift: IntArray) -> FloatArray:
        """Return the gradient at the cells, (n, *cells), from that at the places, (n, ...)."""
        shared = tuple(k + 1 for k in range(len(self.shape)) if k not in self.axes)
        found: FloatArray = gradient.sum(shared, dtype=np.float64)
        for k, part in self._parts(shift):
            found = np.moveaxis(np.tensordot(found, part, (k + 1, 0)), -1, k + 1)
        return found

    def _parts(self, shift: IntArray) -> list[tuple[int, FloatArray]]:
        """Return what is in sight of the maps, by the mask's axis."""
        return [
            (k, m[shift[k] : shift[k] + self.shape[axis]])
            for k, (axis, m) in enumerate(zip(self.axes, self.maps, strict=True))
            if m is not None
        ]


def canvas(shape: Shape, axes: tuple[int, ...] | None, cells: int, sigma: float, room: int) -> Canvas:
    """Make a canvas; a number for each element where it has no space.

    Parameters
    ----------
    shape
        Of one sample of the feature.
    axes
        Which of its axes are space; None for none.
    cells
        Along each of them, at most.
    sigma
        Standard deviation of the Gaussian that smooths what is interpolated between cells, in cells.
    room
        By how many places the canvas is longer than the feature.
    """
    if axes is None:
        return Canvas(shape, tuple(range(len(shape))), (None,) * len(shape))
    return Canvas(shape, axes, tuple(_map(shape[a] + room, min(cells, shape[a]), sigma) for a in axes))


def _map(length: int, cells: int, sigma: float) -> FloatArray:
    """Return what places get of cells, (length, cells): interpolated, then smoothed; rows sum to 1."""
    from skimage.filters import gaussian

    places = ((np.arange(length) + 0.5) * cells / length - 0.5).clip(0, cells - 1)
    made = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(cells)))
    if sigma and cells > 1:
        made = gaussian(made, (sigma * length / cells, 0), mode="nearest", preserve_range=True)
    return np.asarray(made / made.sum(1, keepdims=True), np.float64)


@dataclass(frozen=True, eq=False)
class OfPlayers:
    """A number for each player, (n, P)."""

    players: Players

    def spread(self, mask: FloatArray) -> dict[str, FloatArray]:
        """Return each element's number, by feature; 1 for nobody's."""
        return {k: 1 - v for k, v in self.players.spread(1 - mask).items()}

    def gather(self, gradients: Mapping[str, Array]) -> FloatArray:
        """Return the gradient at the players' numbers, from those at the elements."""
        n = len(next(iter(gradients.values())))
        found = np.zeros((n, self.players.count + 1))
        for name, gradient in gradients.items():
            ids = np.broadcast_to(self.players.ids[name], gradient.shape)
            rows = np.arange(n).reshape(n, *(1,) * (ids.ndim - 1))
            np.add.at(found, (rows, ids), gradient)  # -1 is nobody's: the last
        return found[:, :-1]


def roughness(mask: FloatArray, beta: float) -> tuple[FloatArray, FloatArray]:
    """Return the total variation of masks, ``sum_u |grad m(u)|^beta``, (n,), and its gradient, (n, ...)."""
    differences, squares = [], np.zeros(mask.shape)
    for axis in range(1, mask.ndim):
        step = np.diff(mask, axis=axis, append=np.take(mask, [-1], axis))
        differences.append(step)
        squares += step * step
    weight = beta * np.maximum(squares, 1e-12) ** (beta / 2 - 1)
    slope = np.zeros(mask.shape)
    for axis, step in enumerate(differences, 1):
        flow = weight * step
        slope += np.diff(-flow, axis=axis, prepend=0)
    total = (squares ** (beta / 2)).reshape(len(mask), -1).sum(1)
    return np.asarray(total), slope

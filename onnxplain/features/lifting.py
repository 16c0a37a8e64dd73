"""From numbers of tokens, or maps inside a model, to the features of the input that they belong to."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from onnxplain._types import FloatArray, Shape
from onnxplain.errors import NotExplainableError
from onnxplain.features.places import channel_axis

__all__ = ["Interpolation", "Patches", "over_tokens", "stretched", "token_grid", "token_places"]

#: How a map becomes as large as an input: linear along each of its axes, or the nearest place.
Interpolation: TypeAlias = Literal["bilinear", "nearest"]

_MOST_EXTRA = 16  # class, distillation and register tokens


def over_tokens(tokens: FloatArray, shape: Shape, name: str) -> FloatArray:
    """Give each feature its part of its token's number.

    Parameters
    ----------
    tokens
        (n, L).
    shape
        Of the features, (n, ...): an axis of L, or an image of L square patches; maybe one less than L.
    name
        Of the features, for the error.

    Raises
    ------
    NotExplainableError
        If the features are not the tokens'.
    """
    left_out, where = token_places(tokens.shape[1], shape, name)
    own = tokens[:, left_out:]
    if isinstance(where, Patches):
        return _over_patches(own, shape, where)
    n, count = own.shape
    wide = own.reshape(n, *(count if k == where else 1 for k in range(1, len(shape))))
    return np.broadcast_to(wide / (np.prod(shape[1:]) / count), shape)


def token_places(length: int, shape: Shape, name: str) -> tuple[int, int | Patches]:
    """Tell where the features of each token lie.

    Parameters
    ----------
    length
        Number of tokens.
    shape, name
        Of the features, (n, ...).

    Returns
    -------
    int, int or Patches
        How many tokens in front have none, and along which axis the others' lie; or how, in an image.

    Raises
    ------
    NotExplainableError
        If the features are not the tokens'.
    """
    for left_out in (0, 1):
        count = length - left_out
        grid = _grid(shape, count)
        if grid is not None:
            return left_out, grid
        axis = next((k for k in range(1, len(shape)) if shape[k] == count), None)
        if axis is not None and count:
            return left_out, axis
    raise NotExplainableError(
        f"'{name}' has shape {shape} and the attention is among {length} tokens: they are neither as many as "
        "one of its axes is long (a class token in front apart), nor square patches of an image; name an "
        "inner value with one row for each token (wrt=...)"
    )


class Patches(NamedTuple):
    """How square patches lie in an image.

    Attributes
    ----------
    first
        The axis of its height; that of its width follows.
    rows, side
        How many patches there are along the height, and how long their sides are.
    """

    first: int
    rows: int
    side: int


def _grid(shape: Shape, count: int) -> Patches | None:
    """Return how so many square patches lie in an image."""
    if len(shape) != 4 or not count:
        return None
    first = 2 if channel_axis(shape[1:]) == 0 else 1
    height, width = shape[first : first + 2]
    side = math.isqrt(height * width // count)
    if not side or height % side or width % side or (height // side) * (width // side) != count:
        return None
    return Patches(first, height // side, side)


def _over_patches(tokens: FloatArray, shape: Shape, grid: Patches) -> FloatArray:
    """Spread each patch's number evenly over its pixels and channels; patches lie row by row."""
    first, rows, side = grid
    picture = tokens.reshape(len(tokens), rows, -1).repeat(side, axis=1).repeat(side, axis=2)
    channels = shape[1] if first == 2 else shape[3]
    return np.broadcast_to(np.expand_dims(picture, 1 if first == 2 else 3) / (side * side * channels), shape)


def token_grid(length: int, sides: Shape) -> tuple[int, Shape] | None:
    """Tell how a row of tokens lies over an input's space, row by row.

    Parameters
    ----------
    length
        Number of tokens.
    sides
        Lengths of the input's axes of space.

    Returns
    -------
    int, tuple
        Tokens in front that belong to no place (class and distillation tokens, registers), and how many
        tokens there are along each axis; None if they are no grid of patches with equal sides.
    """
    if len(sides) == 1:
        extra = int(length > 1 and sides[0] % length != 0 and sides[0] % (length - 1) == 0)
        return extra, (length - extra,)
    for extra in range(min(_MOST_EXTRA, length)):
        for side in range(1, min(sides) + 1):
            grid = tuple(d // side for d in sides)
            if all(d % side == 0 for d in sides) and math.prod(grid) == length - extra:
                return extra, grid
    return None


def stretched(maps: FloatArray, sides: Shape, mode: Interpolation) -> FloatArray:
    """Make maps as large as an input.

    Parameters
    ----------
    maps
        (n, ...): axes of space behind the samples.
    sides
        As many lengths.
    mode
        ``"bilinear"``: linear along each axis, centres of places on centres of what they cover, as
        torch's ``interpolate(align_corners=False)`` and OpenCV's ``INTER_LINEAR`` do; ``"nearest"``: as
        torch's.

    Returns
    -------
    (n, *sides), float64.
    """
    made = maps.astype(np.float64)
    for axis, side in enumerate(sides, 1):
        length = made.shape[axis]
        if length == side:
            continue
        if mode == "nearest":
            made = np.take(made, np.arange(side) * length // side, axis=axis)
            continue
        at = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
        low = np.floor(at).astype(np.int64)
        part = (at - low).reshape(-1, *(1,) * (made.ndim - axis - 1))
        high = np.minimum(low + 1, length - 1)
        made = np.take(made, low, axis=axis) * (1 - part) + np.take(made, high, axis=axis) * part
    return made

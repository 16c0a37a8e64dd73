"""From numbers of tokens, or maps inside a model, to the features of the input that they belong to."""

from __future__ import annotations

import math

import numpy as np

from onnxplain._types import FloatArray, Shape
from onnxplain.errors import NotExplainableError
from onnxplain.features.places import channel_axis

__all__ = ["over_tokens"]


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
    n, length = tokens.shape
    for left_out in (0, 1):
        count = length - left_out
        grid = _grid(shape, count)
        if grid is not None:
            return _over_patches(tokens[:, left_out:], shape, grid)
        axis = next((k for k in range(1, len(shape)) if shape[k] == count), None)
        if axis is not None and count:
            wide = tokens[:, left_out:].reshape(n, *(count if k == axis else 1 for k in range(1, len(shape))))
            others = np.prod(shape[1:]) / count
            return np.broadcast_to(wide / others, shape)
    raise NotExplainableError(
        f"'{name}' has shape {shape} and the attention is among {length} tokens: they are neither as many as "
        "one of its axes is long (a class token in front apart), nor square patches of an image; name an "
        "inner value with one row for each token (wrt=...)"
    )


def _grid(shape: Shape, count: int) -> tuple[int, int, int] | None:
    """Return the first axis of an image's height and width, and the side of its square patches."""
    if len(shape) != 4 or not count:
        return None
    first = 2 if channel_axis(shape[1:]) == 0 else 1
    height, width = shape[first : first + 2]
    side = math.isqrt(height * width // count)
    if not side or height % side or width % side or (height // side) * (width // side) != count:
        return None
    return first, height // side, side


def _over_patches(tokens: FloatArray, shape: Shape, grid: tuple[int, int, int]) -> FloatArray:
    """Spread each patch's number evenly over its pixels and channels; patches lie row by row."""
    first, rows, side = grid
    picture = tokens.reshape(len(tokens), rows, -1).repeat(side, axis=1).repeat(side, axis=2)
    channels = shape[1] if first == 2 else shape[3]
    return np.broadcast_to(np.expand_dims(picture, 1 if first == 2 else 3) / (side * side * channels), shape)

"""Values whose channels lie in blocks, and plain twins of the operators that know them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "blocked",
    "interleaved",
    "pooled",
    "scattered",
    "surrounded",
    "transposed",
    "unblocked",
    "windows",
]


def blocked(x: np.ndarray, block: int) -> np.ndarray:
    """Lay (N, C, H, W) out as (N, C / b, H, W, b), under the same shape."""
    n, c, h, w = x.shape
    return np.ascontiguousarray(x.reshape(n, c // block, block, h, w).transpose(0, 1, 3, 4, 2)).reshape(
        x.shape
    )


def unblocked(x: np.ndarray, block: int) -> np.ndarray:
    """Lay it out as it was."""
    n, c, h, w = x.shape
    return np.ascontiguousarray(x.reshape(n, c // block, h, w, block).transpose(0, 1, 4, 2, 3)).reshape(
        x.shape
    )


def places(length: int, windows: int, kernel: int, stride: int, dilation: int, begin: int) -> list[list[int]]:
    """Return the places of each window along an axis that are inside."""
    all_of = ([o * stride - begin + k * dilation for k in range(kernel)] for o in range(windows))
    return [[p for p in each if 0 <= p < length] for each in all_of]


def windows(shape: Sequence[int], out: Sequence[int], described: dict[str, list[int]]):
    """Return the places of each window in row-major order, by the window's place."""
    names = ("kernel_shape", "strides", "dilations", "begins")
    rows, columns = (places(shape[k], out[k], *(described[name][k] for name in names)) for k in range(2))
    for i, j in itertools.product(range(out[0]), range(out[1])):
        yield (i, j), [(h, w) for h in rows[i] for w in columns[j]]


def pooled(x: np.ndarray, out: Sequence[int], described: dict[str, list[int]]) -> np.ndarray:
    """Return the maxima of windows."""
    y = np.empty((*x.shape[:2], *out), x.dtype)
    for (i, j), inside in windows(x.shape[2:], out, described):
        y[:, :, i, j] = np.max([x[:, :, h, w] for h, w in inside], axis=0)
    return y


def scattered(x: np.ndarray, y: np.ndarray, g: np.ndarray, described: dict[str, list[int]]) -> np.ndarray:
    """Send each window's number to the window's first maximum."""
    dx = np.zeros(x.shape, np.float64)
    for (i, j), inside in windows(x.shape[2:], y.shape[2:], described):
        values = np.stack([x[:, :, h, w] for h, w in inside])
        first = (values == y[:, :, i, j]).argmax(axis=0)
        for k, (h, w) in enumerate(inside):
            dx[:, :, h, w] += np.where(first == k, g[:, :, i, j], 0)
    return dx


def interleaved(
    parts: Sequence[np.ndarray], strides: Sequence[int], begins: Sequence[int], ends: Sequence[int]
) -> np.ndarray:
    """Put parts together."""
    first = parts[0]
    height, width = (begins[k] + (first.shape[2 + k] - 1) * strides[k] + 1 + ends[k] for k in range(2))
    made = np.zeros((*first.shape[:2], height, width), first.dtype)
    for k, part in enumerate(parts):
        to = made[:, :, begins[2 * k] :: strides[0], begins[2 * k + 1] :: strides[1]]
        part = part[:, :, : to.shape[2], : to.shape[3]]
        to[:, :, : part.shape[2], : part.shape[3]] = part
    return made


def transposed(
    g: np.ndarray, w: np.ndarray, strides: Sequence[int], begins: Sequence[int], sizes: Sequence[int]
) -> np.ndarray:
    """Add what each place of a kernel gives to every s-th row and column, in float64; keep a part."""
    kernel = w.shape[2:]
    whole = [max((g.shape[2 + k] - 1) * strides[k] + kernel[k], begins[k] + sizes[k]) for k in range(2)]
    made = np.zeros((g.shape[0], w.shape[1], *whole))
    rows, columns = ((g.shape[2 + k] - 1) * strides[k] + 1 for k in range(2))
    for i, j in itertools.product(range(kernel[0]), range(kernel[1])):
        part = np.einsum("nmhw,mc->nchw", g.astype(float), w[:, :, i, j].astype(float))
        made[:, :, i : i + rows : strides[0], j : j + columns : strides[1]] += part
    return made[:, :, begins[0] : begins[0] + sizes[0], begins[1] : begins[1] + sizes[1]]


def surrounded(
    patch: np.ndarray, whole: np.ndarray, at: Any, begin: Any, size: Sequence[int], fill: float = 0.0
) -> np.ndarray:
    """Put patches into the whole, and take what begins somewhere; beyond the whole is what fills."""
    made = np.full((len(patch), patch.shape[1], *size), fill, np.float32)
    for k, i, j in itertools.product(range(len(patch)), range(size[0]), range(size[1])):
        for array, places_ in ((whole[k % len(whole)], (0, 0)), (patch[k], at[k])):
            y, x = begin[k][0] + i - places_[0], begin[k][1] + j - places_[1]
            if 0 <= y < array.shape[1] and 0 <= x < array.shape[2]:
                made[k, :, i, j] = array[:, y, x]
    return made

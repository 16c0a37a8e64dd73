"""The batches and sums of `path_batches`, `masked_batches`, `grid_masks` and `moments` on a GPU.

Those modules come here where they are given a `DeviceArray`, and return such; equations and shapes are
theirs.  Nothing is copied down, and the host waits for nothing.  What else is given may lie on the host: it
goes up, constants once.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from onnxplain._types import Array, Shape
from onnxplain.kernels._native import FLOAT_DTYPES
from onnxplain.kernels.cuda import Stream, launchers
from onnxplain.kernels.device_array import DeviceArray, constant, empty, put

__all__ = [
    "accumulate",
    "add_powers",
    "between",
    "centred",
    "choose",
    "cover",
    "draw_cells",
    "fade",
    "fade_players",
    "interpolate",
    "noise",
    "stretch",
    "sum_masks",
    "times_way",
]


def interpolate(start: Any, end: Any, alphas: Any, out: Any) -> Any:
    """See `path_batches.interpolate`."""
    stream, dtype = end.stream, _floats("end", end)
    at = _there(alphas, stream, end.dtype)
    first = _there(start, stream, end.dtype)
    _expect("start", first, (1 if len(first) == 1 else len(end), *end.shape[1:]))
    made = _result(out, (at.size * len(end), *end.shape[1:]), end)
    launchers().interpolate(
        first.address, len(first), end.address, at.address, made.address, len(end), _cols(end), at.size,
        dtype, stream.address,
    )  # fmt: skip
    return made


def between(start: Any, end: Any, alphas: Array) -> Any:
    """See `path_batches.between`."""
    steps, dtype = len(alphas), _floats("end", end)
    if len(end) % max(steps, 1) or (len(end) and not steps):
        raise ValueError(f"{len(end)} rows are not as many for each of {steps} steps")
    _expect("start", start, end.shape, end.dtype)
    at = _there(alphas, end.stream, end.dtype)
    made = empty(end.shape, end.dtype, end.stream)
    launchers().between(
        start.address, end.address, at.address, made.address, len(end) // max(steps, 1), _cols(end), steps,
        dtype, end.stream.address,
    )  # fmt: skip
    return made


def times_way(values: Any, start: Any, end: Any) -> Any:
    """See `path_batches.times_way`."""
    _expect("start", start, values.shape, values.dtype)
    _expect("end", end, values.shape, values.dtype)
    made = empty(values.shape, values.dtype, values.stream)
    launchers().times_way(
        values.address, start.address, end.address, made.address, len(values), _cols(values),
        _floats("values", values), values.stream.address,
    )  # fmt: skip
    return made


def accumulate(acc: Any, grads: Any, weights: Any) -> None:
    """See `path_batches.accumulate`."""
    stream, factors = acc.stream, _there(weights, acc.stream, acc.dtype)
    if acc.dtype not in (grads.dtype, np.dtype(np.float64)):
        raise ValueError(f"acc must be float64 or the dtype of grads, {grads.dtype}; not {acc.dtype}")
    _expect("grads", grads, (factors.size * len(acc), *acc.shape[1:]))
    launchers().accumulate(
        acc.address, grads.address, factors.address, len(acc), _cols(acc), factors.size,
        _floats("acc", acc), _floats("grads", grads), stream.address,
    )  # fmt: skip


def noise(
    x: Any,
    stdev: Array,
    seed: int,
    first_sample: int,
    n_samples: int,
    substream: int,
    alike: bool,
    out: Any,
) -> Any:
    """See `path_batches.noise`, which has checked the numbers."""
    sigma = _there(stdev, x.stream, np.float64)
    made = _result(out, (n_samples * len(x), *x.shape[1:]), x)
    launchers().noise(
        x.address, sigma.address, sigma.size, made.address, len(x), _cols(x), n_samples, seed, first_sample,
        0, substream, alike, _floats("x", x), x.stream.address,
    )  # fmt: skip
    return made


def centred(samples: Any, first: Any) -> Any:
    """See `moments.centred`."""
    made = empty(samples.shape, np.float64, samples.stream)
    if first is not None:
        _expect("first", first, samples.shape[1:], np.float64)
    launchers().centre(
        samples.address, 0 if first is None else first.address, made.address, len(samples), _cols(samples),
        _floats("samples", samples), samples.stream.address,
    )  # fmt: skip
    return made


def add_powers(sums: Any, first: Any, samples: Any, squared: bool) -> None:
    """See `moments.add_powers`."""
    _expect("sums", sums, (len(sums), *samples.shape[1:]), np.float64)
    _expect("first", first, samples.shape[1:], np.float64)
    launchers().add_powers(
        sums.address, len(sums), first.address, samples.address, len(samples), _cols(samples), squared,
        _floats("samples", samples), samples.stream.address,
    )  # fmt: skip


def choose(x: Any, instead: Any, ids: Any, kept: Any, out: Any, which: Any) -> Any:
    """See `masked_batches.choose`; ids do not change."""
    stream, n, cols = x.stream, len(x), _cols(x)
    stays = _there(kept, stream, np.bool_)
    steps, _, players = stays.shape
    if isinstance(ids, np.ndarray) and ids.size and int(ids.max()) >= players:
        raise ValueError("an id is not below the number of players")
    whose = ids if isinstance(ids, DeviceArray) else constant(ids, stream, np.int64)
    other = _there(instead, stream, x.dtype)
    other = other if other.ndim == x.ndim + 1 else other.reshape(1, *other.shape)
    rows = None if which is None else _indices("which", which, steps, len(other), stream)
    others = steps if rows is None else len(other)
    for name, own, lengths in (
        ("kept", stays.shape, ((steps,), (1, n), (players,))),
        ("ids", whose.shape, ((1, n), *((d,) for d in x.shape[1:]))),
        ("instead", other.shape, ((1, others), (1, n), *((d,) for d in x.shape[1:]))),
    ):
        if len(own) != len(lengths) or any(d not in of for d, of in zip(own, lengths, strict=True)):
            raise ValueError(f"{name} has the wrong shape, {own}")
    made = _result(out, (steps * n, *x.shape[1:]), x)
    launchers().choose(
        x.address, other.address, len(other), other.shape[1], others, whose.address, len(whose),
        stays.address, len(stays), stays.shape[1], players, 0 if rows is None else rows.address, made.address,
        steps, n, cols, x.dtype.itemsize, stream.address,
    )  # fmt: skip
    return made


def cover(x: Any, instead: Any, starts: Array, window: Shape, out: Any) -> Any:
    """See `masked_batches.cover`."""
    sample, stream = x.shape[1:] or (1,), x.stream
    steps, axes = starts.shape
    other = _there(instead, stream, x.dtype)
    _expect("instead", other, x.shape)
    if axes != len(sample) or axes != len(window):
        raise ValueError("starts, window and shape differ in axes")
    boxes = [
        _there(v, stream, np.int64) for v in (starts, np.array(window), np.array(sample))
    ]  # all are small
    made = _result(out, (steps * len(x), *x.shape[1:]), x)
    launchers().cover(
        x.address, other.address, *(v.address for v in boxes), axes, made.address, steps, len(x), _cols(x),
        x.dtype.itemsize, stream.address,
    )  # fmt: skip
    return made


def fade(x: Any, baseline: Any, mask: Any, inner: int, out: Any) -> Any:
    """See `masked_batches.fade`; the mask is (S, N or 1, cells), a cell for so many elements in a row."""
    stream, n, cols = x.stream, len(x), _cols(x)
    other = _there(baseline, stream, x.dtype)
    _expect("baseline", other, x.shape)
    if mask.dtype != x.dtype:
        raise ValueError(f"the mask must be {x.dtype}, not {mask.dtype}")
    steps, rows, cells = mask.shape
    if rows not in (1, n) or (cols and (not cells * inner or cols % (cells * inner))):
        raise ValueError("the mask does not fit a row")
    made = _result(out, (steps * n, *x.shape[1:]), x)
    launchers().fade(
        x.address, other.address, mask.address, rows, cells, inner, made.address, steps, n, cols,
        _floats("x", x), stream.address,
    )  # fmt: skip
    return made


def fade_players(x: Any, baseline: Any, ids: Array, degrees: Array, out: Any) -> Any:
    """See `masked_batches.fade_players`, which has checked the ids; they do not change."""
    stream, n, cols = x.stream, len(x), _cols(x)
    whose, stays = constant(ids, stream, np.int64), _there(degrees, stream, x.dtype)
    other = _there(baseline, stream, x.dtype)
    _expect("baseline", other, x.shape)
    _expect("ids", whose, (1 if len(whose) == 1 else n, *x.shape[1:]))
    made = _result(out, (len(stays) * n, *x.shape[1:]), x)
    launchers().fade_players(
        x.address, other.address, whose.address, len(whose), stays.address, stays.shape[1], made.address,
        len(stays), n, cols, _floats("x", x), stream.address,
    )  # fmt: skip
    return made


def stretch(cells: Any, left: Array, first: Array, second: Array, shift: Any, length: int) -> Any:
    """See `grid_masks.stretch`; the places do not change, and what is made on a device is trusted."""
    stream, (steps, before, count, after) = cells.stream, cells.shape
    if left.size and not 0 <= int(left.min()) <= int(left.max()) < count:
        raise ValueError("left is no cell")
    begins = _indices("shift", shift, steps, left.size - length + 1, stream)
    _expect("cells", cells, cells.shape, np.float32)
    made = empty((steps, before, length, after), np.float32, stream)
    places = [constant(left, stream, np.int64), *(constant(v, stream, np.float32) for v in (first, second))]
    if any(v.size != left.size for v in places):
        raise ValueError("the places differ in number")
    launchers().stretch(
        cells.address, *(v.address for v in places), left.size, begins.address, made.address, steps, before,
        count, length, after, stream.address,
    )  # fmt: skip
    return made


def sum_masks(linear: Any, square: Any, masks: Any, scores: Any, origin: float) -> None:
    """See `grid_masks.sum_masks`."""
    steps, rows = scores.shape
    _expect("masks", masks, (steps, *masks.shape[1:]), np.float32)
    _expect("scores", scores, (steps, rows), np.float64)
    _expect("linear", linear, (1 + rows, *masks.shape[1:]), np.float64)
    _expect("square", square, (1 + 2 * rows, *masks.shape[1:]), np.float64)
    launchers().sum_masks(
        linear.address, square.address, masks.address, scores.address, origin, steps, rows, _cols(masks),
        masks.stream.address,
    )  # fmt: skip


def draw_cells(
    seed: int,
    key: int,
    first: int,
    steps: int,
    cells: int,
    keep: float,
    lengths: Array,
    dtype: DTypeLike,
    stream: Stream,
) -> Any:
    """See `grid_masks.draw_cells`."""
    made = empty((steps, cells), dtype, stream)
    shifts = empty((len(lengths), steps), np.int64, stream)
    below = _there(lengths, stream, np.int64)  # has a name, so that it is there until it was read
    launchers().draw_cells(
        made.address, shifts.address, below.address, steps, cells, len(lengths),
        seed, key, first, keep, made.dtype.kind == "f", stream.address,
    )  # fmt: skip
    return made, shifts


def _there(array: Any, stream: Stream, dtype: DTypeLike) -> DeviceArray:
    """Return an array on the device, brought up as this type if it is not there."""
    if not isinstance(array, DeviceArray):
        return put(np.asarray(array, dtype), stream)
    if array.dtype != np.dtype(dtype):
        raise ValueError(f"an array on the GPU is {array.dtype}, and must be {np.dtype(dtype)}")
    return array


def _indices(name: str, array: Any, count: int, end: int, stream: Stream) -> DeviceArray:
    """Return so many numbers from 0 to below an end; those on a device were made to be such."""
    if isinstance(array, np.ndarray) and array.size and not 0 <= int(array.min()) <= int(array.max()) < end:
        raise ValueError(f"{name} leads beyond the end")
    there = _there(array, stream, np.int64)
    _expect(name, there, (count,))
    return there


def _floats(name: str, array: DeviceArray) -> str:
    if array.dtype not in FLOAT_DTYPES:
        raise ValueError(f"{name} must be float32 or float64, not {array.dtype}")
    return str(array.dtype.name)


def _expect(name: str, array: DeviceArray, shape: Shape, dtype: DTypeLike | None = None) -> None:
    if array.shape != tuple(shape) or (dtype is not None and array.dtype != np.dtype(dtype)):
        kind = "" if dtype is None else f"{np.dtype(dtype)} and "
        raise ValueError(f"{name} must be {kind}of the shape {shape}, not {array.dtype} and {array.shape}")


def _result(out: DeviceArray | None, shape: Shape, like: DeviceArray) -> DeviceArray:
    """Return where to write: what was given, if it fits, or new memory."""
    if out is None:
        return empty(shape, like.dtype, like.stream)
    _expect("out", out, shape, like.dtype)
    return out


def _cols(array: DeviceArray) -> int:
    return prod(array.shape[1:])

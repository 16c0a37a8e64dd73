"""Points of plans, written into the body of a loop: one function for each recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain._types import FloatArray
from onnxplain.errors import DataInputError, MethodError
from onnxplain.kernels import path_batches as kernels
from onnxplain.kernels.uniform import uniforms
from onnxplain.loops.frame import Feature, Inside, Outside
from onnxplain.runtime.plans.points import Backgrounds, Noise, Path, WithoutOne
from onnxplain.runtime.plans.swapped import Swapped
from onnxplain.runtime.plans.ways import Draws

__all__ = ["Written", "write_points"]

_DOUBLE = int(ir.DataType.DOUBLE)


@dataclass(frozen=True)
class Written:
    """A recipe for points, ready to be written.

    Attributes
    ----------
    count
        How many points there are.
    make
        Writes those of a block, by feature (m, N, ...).
    starts
        Writes the baselines of those of a block, by feature (m, 1 or N, ...); None where they stay the same.
    """

    count: int
    make: Callable[[Inside], dict[str, ir.Value]]
    starts: Callable[[Inside], dict[str, ir.Value]] | None = None


@singledispatch
def write_points(points: Any, outside: Outside) -> Written:
    """Return what writes the points of a plan.

    Raises
    ------
    MethodError
        If they depend on answers, or on chance that no file can hold.
    """
    raise MethodError(f"points of the kind {type(points).__name__} cannot be written into a file")


@write_points.register
def _path(points: Path, outside: Outside) -> Written:
    """Write ``b + a (x - b)``."""

    def make(inside: Inside) -> dict[str, ir.Value]:
        op, made = inside.op, {}
        for name, feature in outside.features.items():
            alphas = inside.rows(np.asarray(points.alphas, feature.dtype))
            wide = inside.spread(alphas, len(feature.shape) + 2)
            x, b = inside.value(name), inside.baseline(name)
            made[name] = cast("ir.Value", op.Add(b, op.Mul(wide, op.Sub(x, b))))
        return made

    return Written(len(points.alphas), make)


@write_points.register
def _noise(points: Noise, outside: Outside) -> Written:
    """Write ``x + sigma z``, z drawn from the seed, with the bits of the explainer's."""
    tables = {}
    for stream, (name, feature) in enumerate(outside.features.items()):
        _refuse_other_than_floats(name, feature)
        tables[name] = _drawn(points, 1.0, feature, stream)

    def make(inside: Inside) -> dict[str, ir.Value]:
        op, made = inside.op, {}
        for name, feature in outside.features.items():
            x = inside.value(name)
            axes = list(range(2, len(feature.shape) + 2))
            sigma: Any = feature.dtype.type(points.stdev or 0)
            if points.stdev is None:
                spread = op.Sub(op.ReduceMax(x, axes, keepdims=1), op.ReduceMin(x, axes, keepdims=1))
                sigma = op.Mul(op.Cast(spread, to=_DOUBLE), points.level)
                sigma = op.Cast(sigma, to=int(ir.DataType.from_numpy(feature.dtype)))
            z = op.Unsqueeze(inside.rows(tables[name]), [1])
            made[name] = cast("ir.Value", op.Add(x, op.Mul(z, sigma)))
        return made

    return Written(points.samples, make)


def _drawn(points: Noise | Draws, stdev: float, feature: Feature, stream: int) -> FloatArray:
    """Return the noise of all samples (S, ...), in the feature's own dtype, as the explainer draws it."""
    zero = np.zeros((1, *feature.known), feature.dtype)
    return kernels.noise(zero, stdev, points.seed, 0, points.samples, substream=stream)


def _refuse_other_than_floats(name: str, feature: Feature) -> None:
    if feature.dtype.kind != "f":
        raise DataInputError(
            f"noise can be added to floats only, and '{name}' holds {feature.dtype}; explain other inputs "
            "(wrt=...), or average a method that walks back to the embedding"
        )


@write_points.register
def _backgrounds(points: Backgrounds, outside: Outside) -> Written:
    """Write the row itself, against each row of the background."""

    def make(inside: Inside) -> dict[str, ir.Value]:
        return {name: inside.value(name) for name in outside.features}

    def starts(inside: Inside) -> dict[str, ir.Value]:
        return {
            name: cast("ir.Value", inside.op.Unsqueeze(inside.rows(rows), [1]))
            for name, rows in outside.background.items()
        }

    return Written(outside.rows, make, starts if outside.background else None)


@write_points.register
def _draws(points: Draws, outside: Outside) -> Written:
    """Write ``b_k + a_k (x + noise_k - b_k)``."""
    numbers = uniforms(points.seed, 0, 0, points.samples, 2)

    def make(inside: Inside) -> dict[str, ir.Value]:
        op, made = inside.op, {}
        for name, (start, end) in drawn_paths(points, inside).items():
            feature = outside.features[name]
            places = inside.rows(numbers[:, 1].astype(feature.dtype))
            way = op.Mul(inside.spread(places, len(feature.shape) + 2), op.Sub(end, start))
            made[name] = cast("ir.Value", op.Add(start, way))
        return made

    return Written(points.samples, make)


def drawn_paths(points: Draws, inside: Inside) -> dict[str, tuple[ir.Value, ir.Value]]:
    """Return where drawn paths start and end, each (m, N, ...) or broadcast to it, by feature."""
    op, outside, made = inside.op, inside.outside, {}
    for stream, (name, feature) in enumerate(outside.features.items()):
        end = inside.value(name)
        if points.stdev:
            noise = _drawn(points, points.stdev, feature, stream)
            end = op.Add(end, op.Unsqueeze(inside.rows(noise), [1]))
        start = inside.baseline(name)
        if name in outside.background:
            rows = outside.background[name]
            chosen = uniforms(points.seed, 0, 0, points.samples, 2)[:, 0]
            which = inside.rows((chosen * len(rows)).astype(np.int64))
            start = op.Unsqueeze(op.Gather(op.initializer(rows), which, axis=0), [1])
        made[name] = start, end
    return made


@write_points.register
def _without_one(points: WithoutOne, outside: Outside) -> Written:
    """Write the row without one player."""
    players = outside.who()

    def make(inside: Inside) -> dict[str, ir.Value]:
        op, made = inside.op, {}
        for name, feature in outside.features.items():
            ids = op.initializer(players.ids[name])  # (1, ...)
            gone = op.Equal(op.Unsqueeze(ids, [0]), inside.spread(inside.step, len(feature.shape) + 2))
            made[name] = cast("ir.Value", op.Where(gone, inside.baseline(name), inside.value(name)))
        return made

    return Written(players.count, make)


@write_points.register
def _swapped(points: Swapped, outside: Outside) -> Written:
    """Write the row with the values that one player has in a drawn row."""
    players = outside.who()
    count = players.count * points.repeats
    table = points.rows(slice(0, count))[:, 0]

    def make(inside: Inside) -> dict[str, ir.Value]:
        op, made = inside.op, {}
        player = op.Div(inside.step, np.int64(points.repeats))
        row = inside.rows(table)
        for name, feature in outside.features.items():
            ids = op.initializer(players.ids[name])  # (1, ...)
            gone = op.Equal(op.Unsqueeze(ids, [0]), inside.spread(player, len(feature.shape) + 2))
            instead = op.Unsqueeze(op.Gather(op.initializer(points.donors[name]), row, axis=0), [1])
            made[name] = cast("ir.Value", op.Where(gone, instead, inside.value(name)))
        return made

    return Written(count, make)

"""Points of plans, written into the body of a loop: one function for each recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain.errors import MethodError
from onnxplain.kernels import path_batches as kernels
from onnxplain.loops.frame import Inside, Outside
from onnxplain.runtime.plans.points import Noise, Path, WithoutOne

__all__ = ["Written", "write_points"]


@dataclass(frozen=True)
class Written:
    """A recipe for points, ready to be written.

    Attributes
    ----------
    count
        How many points there are.
    make
        Writes those of a block, by feature (m, N, ...).
    """

    count: int
    make: Callable[[Inside], dict[str, ir.Value]]


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
    """Write ``x + sigma z``, z drawn from the seed."""
    tables = {}
    for stream, (name, feature) in enumerate(outside.features.items()):
        zero = np.zeros((1, *feature.known), feature.dtype)
        tables[name] = kernels.noise(zero, 1.0, points.seed, 0, points.samples, substream=stream)

    def make(inside: Inside) -> dict[str, ir.Value]:
        op, made = inside.op, {}
        for name, feature in outside.features.items():
            x = inside.value(name)
            axes = list(range(2, len(feature.shape) + 2))
            sigma: Any = points.stdev
            if sigma is None:
                spread = op.Sub(op.ReduceMax(x, axes, keepdims=1), op.ReduceMin(x, axes, keepdims=1))
                sigma = op.Mul(spread, points.level)
            z = op.Unsqueeze(inside.rows(tables[name]), [1])
            made[name] = cast("ir.Value", op.Add(x, op.Mul(z, sigma)))
        return made

    return Written(points.samples, make)


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

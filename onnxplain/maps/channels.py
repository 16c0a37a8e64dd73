"""Activation maps that ask for a score per channel of a layer: loops over the channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain.backward.asks import Scores
from onnxplain.features.lifting import Interpolation
from onnxplain.graph import facts
from onnxplain.loops.frame import Answered, Inside, Outside, Result
from onnxplain.loops.points import Written, write_points
from onnxplain.loops.sums import Summed, write_sums
from onnxplain.maps.cams import by_channel
from onnxplain.maps.frame import Place
from onnxplain.maps.lifting import read_maps, stretch
from onnxplain.methods.cams.layers import Layer, Lifted
from onnxplain.methods.cams.scores import AblationCam, ScoreCam
from onnxplain.runtime.opened import opened
from onnxplain.runtime.plans.plan import Plan

__all__ = ["MAP", "plan_over_channels"]

_DOUBLE = int(ir.DataType.DOUBLE)
#: What the map of the layer is called among a loop's results.
MAP = "map"


@dataclass(frozen=True, eq=False)
class _WithoutChannel:
    """The layer with one channel 0 at all places."""

    layer: Layer
    channels: int


@dataclass(frozen=True, eq=False)
class _Masked:
    """The row behind each channel's map as a mask: ``b + m_c (x - b)``."""

    layer: Layer
    lifted: dict[str, Lifted]
    mode: Interpolation
    channels: int
    place: Place


@dataclass(frozen=True, eq=False)
class _Weighted:
    """The map ``sum_c w_c A_c``, of weights that the scores tell."""

    layer: Layer
    place: Place
    softmax: bool


def plan_over_channels(
    method: AblationCam | ScoreCam, place: Place, layer: Layer, features: dict[str, Lifted]
) -> Plan:
    """Return the method as a plan whose result, :data:`MAP`, is the layer's map, (N, *grid).

    Parameters
    ----------
    method
        What varies for :class:`AblationCam` is the layer; for :class:`ScoreCam` the features, and the layer
        is a value beside them.
    place
        Where the samples lie.
    layer, features
        Where to look, and what its maps lie over.
    """
    shape = facts.static_shape(opened(place.problem).values[layer.name]) or ()
    axis = place.axis_of(layer.name)
    channels = [d for k, d in enumerate(shape) if k != axis][layer.channel - 1]
    weighted: Any = _Weighted(layer, place, isinstance(method, ScoreCam))
    points: Any = _WithoutChannel(layer, channels)
    if isinstance(method, ScoreCam):
        points = _Masked(layer, features, method.interpolate_mode, channels, place)
    return Plan(points, Scores(), weighted, method.name)


@write_points.register
def _without_channel(points: _WithoutChannel, outside: Outside) -> Written:
    name = points.layer.name

    def make(inside: Inside) -> dict[str, ir.Value]:
        op, rank = inside.op, len(outside.features[name].shape) + 2
        there = np.arange(points.channels).reshape(
            [-1 if k == points.layer.channel + 1 else 1 for k in range(rank)]
        )
        gone = op.Equal(op.const(there), inside.spread(inside.step, rank))
        nothing = op.const(np.zeros((), outside.features[name].dtype))
        return {name: cast("ir.Value", op.Where(gone, nothing, inside.value(name)))}

    return Written(points.channels, make)


@write_points.register
def _masked(points: _Masked, outside: Outside) -> Written:
    layer = points.layer
    maps = read_maps(_within(points.place, outside), layer, outside.beside[layer.name])  # (N, C, *grid)
    rank = len(layer.grid) + 2

    def make(inside: Inside) -> dict[str, ir.Value]:
        op, made = inside.op, {}
        own = op.move_axis(op.Gather(maps, inside.step, axis=1), rank, 1, 0)  # (m, N, *grid)
        flat = op.Reshape(own, [-1, *layer.grid])
        for name, feature in outside.features.items():
            x, start = inside.value(name), inside.baseline(name)
            one = points.lifted.get(name)
            if one is None:
                many = op.concat([op.Shape(inside.step), op.Shape(feature.value)])
                made[name] = cast("ir.Value", op.Expand(x, many))
                continue
            sides = tuple(feature.known[a - 1] for a in one.axes)
            mask = stretch(op, flat, layer.grid, sides, points.mode)
            axes = list(range(1, len(sides) + 1))
            low, high = (f(mask, axes, keepdims=1) for f in (op.ReduceMin, op.ReduceMax))
            size = op.Sub(high, low)
            some = op.Greater(size, 0.0)
            mask = op.Where(some, op.Div(op.Sub(mask, low), op.Where(some, size, 1.0)), 0.0)
            over = [d if a in one.axes else 1 for a, d in enumerate(feature.known, 1)]
            count = op.Shape(inside.step)
            wide = op.Reshape(mask, op.concat([count, -1, over]))
            wide = op.Cast(wide, to=int(ir.DataType.from_numpy(feature.dtype)))
            made[name] = cast("ir.Value", op.Add(start, op.Mul(wide, op.Sub(x, start))))
        return made

    return Written(points.channels, make)


@write_sums.register
def _weighted(combination: _Weighted, outside: Outside, count: int) -> Summed:
    op, layer = outside.op, combination.layer
    place = _within(combination.place, outside)

    def finish(carried: list[ir.Value], score: ir.Value, start: ir.Value | None, scores: ir.Value) -> Result:
        value = outside.beside.get(layer.name)
        a = read_maps(place, layer, place.value(layer.name) if value is None else value)
        if combination.softmax:
            weights = op.Exp(op.Sub(scores, op.ReduceMax(scores, [0], keepdims=1)))
            weights = op.Div(weights, op.ReduceSum(weights, [0], keepdims=1))
        else:
            size = op.Abs(score)
            size = op.Where(op.Equal(size, 0.0), 1.0, size)
            weights = op.Div(op.Sub(op.Unsqueeze(score, [0]), scores), op.Unsqueeze(size, [0]))
        wide = op.Transpose(weights, perm=[1, 0])  # (N, C)
        wide = op.Unsqueeze(wide, list(range(2, 2 + len(layer.grid))))
        return Result({}, extras={MAP: by_channel(op, wide, a)})

    def add(inside: Inside, carried: list[ir.Value], answers: Answered) -> list[ir.Value]:
        return []

    return Summed(False, [], add, finish)


def _within(place: Place, outside: Outside) -> Place:
    """Return a place that writes around a loop."""
    return Place(outside.op, place.layout, place.at, outside.beside)

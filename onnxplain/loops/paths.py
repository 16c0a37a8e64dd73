"""Paths that are asked for the change of the score or of the point, step by step, in a loop."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, FloatArray
from onnxplain.features.places import image_axes
from onnxplain.loops.frame import Answered, Inside, Outside, Result
from onnxplain.loops.points import Written, write_points
from onnxplain.loops.sums import Summed, added, cast_as, total_of, write_sums
from onnxplain.runtime.plans.importance import Importance
from onnxplain.runtime.plans.scales import ScaleIntegral, Scales

__all__: list[str] = []

_DOUBLE = int(ir.DataType.DOUBLE)


def _vector(outside: Outside) -> ir.Value:
    """Return a zero for each sample, float64 (N,)."""
    return cast("ir.Value", outside.op.ConstantOfShape(outside.samples, value=ir.tensor(np.zeros(1))))


@write_sums.register
def _importance(combination: Importance, outside: Outside, count: int) -> Summed:
    """Write each change of the score, shared out in the direction of the squared gradient.

    Carried are the last point's score, whether its gradient is 0, and by feature its shares and the sum.
    """
    features, names = outside.features, list(outside.features)
    follows = np.ones(count)
    follows[0] = 0  # nothing lies before the first point

    def add(inside: Inside, carried: list[ir.Value], answers: Answered) -> list[ir.Value]:
        b, one = inside.op, inside.op.const(np.float64(1.0))
        squares: dict[str, Any] = {}
        sums = []
        for name in names:
            wide = b.Cast(answers.values[name], to=_DOUBLE)
            squares[name] = b.Mul(wide, wide)
            axes = list(range(2, len(features[name].shape) + 2))
            sums.append(b.ReduceSum(squares[name], axes, keepdims=0) if axes else squares[name])
        whole = sums[0] if len(sums) == 1 else b.Sum(*sums)  # (m, N)
        flat = b.LessOrEqual(whole, np.float64(0.0))
        over = b.Where(flat, one, whole)
        score = b.Cast(answers.score, to=_DOUBLE)
        last, was_flat, rest = carried[0], carried[1], carried[2:]

        def before(mine: Any, held: Any) -> Any:
            """Return what the points before those of the block had."""
            ahead = b.Unsqueeze(held, [0])
            return b.Concat(ahead, b.slice(mine, 0, 0, -1), axis=0)

        level = b.Cast(flat, to=_DOUBLE)
        gained = b.Mul(b.Sub(score, before(score, last)), b.Unsqueeze(inside.weights(follows.tolist()), [1]))
        none = b.Greater(before(level, was_flat), np.float64(0.5))
        out = [_end(b, score), _end(b, level)]
        for name, held, total in zip(names, rest[::2], rest[1::2], strict=True):
            rank = len(features[name].shape) + 2
            wide = [b.Unsqueeze(v, list(range(2, rank))) if rank > 2 else v for v in (over, none, gained)]
            shares = b.Div(squares[name], wide[0])
            mine = b.Where(wide[1], shares, before(shares, held))
            out += [_end(b, shares), b.Add(total, b.ReduceSum(b.Mul(wide[2], mine), [0], keepdims=0))]
        return out

    def finish(carried: list[ir.Value], score: ir.Value, start: ir.Value | None, scores: ir.Value) -> Result:
        values = {k: cast_as(outside, k, total) for k, total in zip(names, carried[3::2], strict=True)}
        return Result(values, _missing(outside, values, scores, count - 1, 0))

    begin = [_vector(outside), _vector(outside)]
    begin += [outside.zeros(k) for k in names for _ in range(2)]
    return Summed(False, begin, add, finish)


def _end(op: Any, value: Any) -> Any:
    """Return what the last point of a block has."""
    return op.Squeeze(op.slice(value, 0, -1, 2**62), [0])


def _missing(outside: Outside, values: dict[str, ir.Value], scores: Any, high: int, low: int) -> ir.Value:
    """Return how far the values' sum is from the difference of the scores at two points."""
    op = outside.op
    ends = [op.Gather(scores, op.const(np.int64(k)), axis=0) for k in (high, low)]
    return cast("ir.Value", op.Sub(total_of(outside, values), op.Sub(*ends)))


@write_points.register
def _scales(points: Scales, outside: Outside) -> Written:
    """Write blurred copies of the row."""

    def make(inside: Inside) -> dict[str, ir.Value]:
        op, made = inside.op, {}
        for name, feature in outside.features.items():
            blurred = _blurred(inside, name, points, points.sigmas)
            made[name] = cast("ir.Value", op.Cast(blurred, to=int(ir.DataType.from_numpy(feature.dtype))))
        return made

    return Written(len(points.sigmas), make)


def _blurred(inside: Inside, name: str, scales: Scales, sigmas: tuple[float, ...]) -> Any:
    """Return a feature, blurred by the width of each point, float64 (m, N, ...)."""
    op, shape = inside.op, inside.outside.features[name].known
    outside = inside.outside
    axes = image_axes(scales.axes, (1, *shape), outside.axes.get(name), f"'{name}'", outside.channel_of(name))
    made: Any = op.Cast(inside.value(name), to=_DOUBLE)
    rank = len(shape) + 2
    for axis in axes:
        length = shape[axis - 1]
        apart = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
        kernels = inside.rows(_kernels(length, sigmas))  # (m, length): by distance
        matrix = op.Gather(kernels, op.initializer(apart), axis=1)  # (m, length, length)
        matrix = op.Unsqueeze(matrix, list(range(1, rank - 2)))
        moved = op.move_axis(made, rank, axis + 1, rank - 1)
        made = op.move_axis(op.MatMul(moved, matrix), rank, rank - 1, axis + 1)
    return made


def _kernels(length: int, sigmas: tuple[float, ...]) -> FloatArray:
    """Return by width and distance what a Gaussian, cut off at 4 standard deviations, gives."""
    table: Array = np.zeros((len(sigmas), length))
    for row, sigma in zip(table, sigmas, strict=True):
        if not sigma:
            row[0] = 1
            continue
        reach = int(4 * sigma + 0.5)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        half = (kernel / kernel.sum())[reach:][:length]
        row[: len(half)] = half
    return table


@write_sums.register
def _scale_integral(combination: ScaleIntegral, outside: Outside, count: int) -> Summed:
    """Write ``-sum_k w_k g_k dx/dsigma``."""
    names, features, scales = list(outside.features), outside.features, combination.scales
    wider = tuple(s + combination.by for s in scales.sigmas)

    def add(inside: Inside, carried: list[ir.Value], answers: Answered) -> list[ir.Value]:
        op, made = inside.op, []
        weights = inside.weights([-w for w in combination.weights])
        for name, total in zip(names, carried, strict=True):
            rank = len(features[name].shape) + 2
            change = op.Sub(
                _blurred(inside, name, scales, wider), _blurred(inside, name, scales, scales.sigmas)
            )
            change = op.Div(change, np.float64(combination.by))
            flow = op.Mul(op.Cast(answers.values[name], to=_DOUBLE), change)
            made.append(added(inside, total, flow, weights, rank))
        return made

    def finish(carried: list[ir.Value], score: ir.Value, start: ir.Value | None, scores: ir.Value) -> Result:
        values = {k: cast_as(outside, k, total) for k, total in zip(names, carried, strict=True)}
        return Result(values, _missing(outside, values, scores, 0, count - 1))

    return Summed(False, [outside.zeros(k) for k in names], add, finish)

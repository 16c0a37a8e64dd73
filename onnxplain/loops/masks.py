"""Soft random masks, written into a loop: drawn out of small constant grids, never held."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain.kernels.uniform import uniforms
from onnxplain.loops.frame import Answered, Feature, Inside, Outside, Result
from onnxplain.loops.points import Written, write_points
from onnxplain.loops.sums import Summed, cast_as, spread, write_sums
from onnxplain.runtime.plans.masks import Expected, Masks, drawn_out

__all__: list[str] = []

_DOUBLE = int(ir.DataType.DOUBLE)
_FLOAT = int(ir.DataType.FLOAT)
_BOOL = int(ir.DataType.BOOL)


@write_points.register
def _masks(points: Masks, outside: Outside) -> Written:
    """Write ``m x + (1 - m) b``."""
    _refuse_other_than_floats(outside)

    def make(inside: Inside) -> dict[str, ir.Value]:
        op, made = inside.op, {}
        masks = masks_at(points, inside)
        for name, feature in outside.features.items():
            x, b = inside.value(name), inside.baseline(name)
            if name not in masks:
                kept = op.Cast(_of_players(inside, masks[""], name, feature), to=_BOOL)
                made[name] = cast("ir.Value", op.Where(op.Unsqueeze(kept, [1]), x, b))
                continue
            own = op.Unsqueeze(op.Cast(masks[name], to=int(ir.DataType.from_numpy(feature.dtype))), [1])
            made[name] = inside.faded(name, own)
        return made

    return Written(points.samples, make)


def _refuse_other_than_floats(outside: Outside) -> None:
    from onnxplain.runtime.plans.masks import refuse_mixing

    if outside.players is None:
        features = {k: np.empty((1, *f.known), f.dtype) for k, f in outside.features.items()}
        refuse_mixing(features, "give a feature_mask, so that elements stay or leave as a whole")


def masks_at(points: Masks, inside: Inside) -> dict[str, ir.Value]:
    """Return the masks of a block by feature, float32 (m, ...); by players under "", (m, P)."""
    outside = inside.outside
    if outside.players is not None:
        drawn = uniforms(points.seed, 0, 0, points.samples, outside.players.count)
        return {"": inside.rows((drawn < points.keep).astype(np.float32))}
    return {
        name: _drawn(points, inside, feature, stream)
        for stream, (name, feature) in enumerate(outside.features.items())
    }


def _drawn(points: Masks, inside: Inside, feature: Feature, stream: int) -> ir.Value:
    """Write a feature's masks: small grids, drawn out along each axis and shifted by a part of a cell."""
    op, shape = inside.op, feature.known
    chosen = points.space_of(feature.name, shape)
    lengths = [shape[k] for k in chosen]
    grid = [min(points.cells, length) for length in lengths]
    size = math.prod(grid)
    drawn = uniforms(points.seed, stream, 0, points.samples, size + len(grid))
    cells = (drawn[:, :size] < points.keep).reshape(points.samples, *grid)
    made: Any = op.Cast(inside.rows(cells), to=_FLOAT)
    done = list(grid)
    for k, (length, count) in enumerate(zip(lengths, grid, strict=True)):
        if count == length:
            continue
        wide, each = drawn_out(length, count)
        shift = inside.rows((drawn[:, size + k] * each).astype(np.int64))
        places = op.Add(op.Unsqueeze(shift, [1]), op.const(np.arange(length, dtype=np.int64)[None]))
        rows = op.Gather(op.initializer(wide), places, axis=0)  # (m, length, cells)
        order = [0, k + 1, *(j for j in range(1, len(grid) + 1) if j != k + 1)]
        front = op.transpose(made, order)
        rest = [n for j, n in enumerate(done) if j != k]
        flat = op.MatMul(rows, op.Reshape(front, [-1, count, math.prod(rest)]))
        done[k] = length
        back = [0, *(1 + [k, *(j for j in range(len(grid)) if j != k)].index(j) for j in range(len(grid)))]
        made = op.transpose(op.Reshape(flat, [-1, length, *rest]), back)
    return cast("ir.Value", op.Reshape(made, [-1, *(d if k in chosen else 1 for k, d in enumerate(shape))]))


def _of_players(inside: Inside, numbers: ir.Value, name: str, feature: Feature) -> ir.Value:
    """Give each element its player's number, from (m, P) to (m, ...); 1 to nobody's."""
    op, players = inside.op, inside.outside.who()
    ids = players.ids[name].reshape(-1)
    nobody = op.Add(op.Mul(op.slice(numbers, 1, 0, 1), 0.0), 1.0)
    padded = op.Concat(numbers, nobody, axis=1)
    picked = op.Gather(padded, op.initializer(np.where(ids < 0, players.count, ids)), axis=1)
    return cast("ir.Value", op.Reshape(picked, [-1, *feature.known]))


@write_sums.register
def _expected(combination: Expected, outside: Outside, count: int) -> Summed:
    """Write the expected score where an element is kept, and its standard error."""
    op, keep, masks = outside.op, combination.masks.keep, combination.masks
    names = [""] if outside.players is not None else list(outside.features)
    origin = keep if combination.contrast else 0.0

    def shape_of(name: str) -> list[int]:
        if name == "":
            return [outside.who().count]
        own = outside.features[name].known
        chosen = masks.space_of(name, own)
        return [d if k in chosen else 1 for k, d in enumerate(own)]

    def zeros(name: str, *, each: bool) -> ir.Value:
        lead = outside.samples if each else op.const(np.array([1], np.int64))
        shape = op.concat([lead, shape_of(name)])
        return cast("ir.Value", op.ConstantOfShape(shape, value=ir.tensor(np.zeros(1))))

    begin = [op.ConstantOfShape(outside.samples, value=ir.tensor(np.zeros(1)))] * 2
    begin += [zeros(k, each=each) for k in names for each in (False, False, True, True, True)]

    def add(inside: Inside, carried: list[ir.Value], answers: Answered) -> list[ir.Value]:
        b, made = inside.op, masks_at(masks, inside)
        score = b.Cast(answers.score, to=_DOUBLE)
        here = b.Gather(score, b.const(np.int64(0)), axis=0)
        first = inside.first(here if combination.contrast else b.Mul(here, np.float64(0.0)), carried[0])
        live = b.Unsqueeze(inside.live, [1])
        own = b.Mul(b.Sub(score, b.Unsqueeze(first, [0])), live)  # (m, N)
        out = [first, b.Add(carried[1], b.ReduceSum(own, [0], keepdims=0))]
        for k, name in enumerate(names):
            totals = carried[2 + 5 * k : 7 + 5 * k]
            rank = len(shape_of(name)) + 2
            u = b.Unsqueeze(b.Sub(b.Cast(made[name], to=_DOUBLE), np.float64(origin)), [1])  # (m, 1, ...)
            u = b.Mul(u, inside.spread(inside.live, rank))
            wide = b.Unsqueeze(own, list(range(2, rank)))
            square, twice = b.Mul(u, u), b.Mul(wide, wide)
            terms = (u, square, b.Mul(wide, u), b.Mul(wide, square), b.Mul(twice, square))
            out += [b.Add(t, b.ReduceSum(v, [0], keepdims=0)) for t, v in zip(totals, terms, strict=True)]
        return out

    def finish(carried: list[ir.Value], score: ir.Value, start: ir.Value | None, scores: ir.Value) -> Result:
        scale = keep * (1 - keep) if combination.contrast else keep
        values, errors = {}, {}
        for k, name in enumerate(names):
            zero, squares, one, both, twice = (
                op.Div(t, float(count)) for t in carried[2 + 5 * k : 7 + 5 * k]
            )
            middle: Any = op.const(np.zeros(1))
            if combination.contrast:
                middle = op.Div(carried[1], float(count))
            middle = op.Unsqueeze(middle, list(range(1, len(shape_of(name)) + 1)))
            mean = op.Sub(one, op.Mul(middle, zero))
            spread_ = op.Sub(twice, op.Mul(op.Mul(middle, both), 2.0))
            spread_ = op.Add(spread_, op.Mul(op.Mul(middle, middle), squares))
            spread_ = op.Max(op.Sub(spread_, op.Mul(mean, mean)), np.float64(0.0))
            values[name] = op.Div(mean, float(scale))
            divisor = float(count - 1) if count > 1 else float("nan")
            errors[name] = op.Div(op.Sqrt(op.Div(spread_, divisor)), float(scale))
        return Result(_over(outside, values), None, _over(outside, errors))

    return Summed(False, begin, add, finish)


def _over(outside: Outside, numbers: dict[str, Any]) -> dict[str, ir.Value]:
    """Give each element its number."""
    op = outside.op
    if outside.players is not None:
        own = numbers[""]
        padded = op.Concat(own, op.Mul(op.slice(own, 1, 0, 1), np.float64(0.0)), axis=1)
        return spread(outside, padded, outside.players)
    made = {}
    for name, value in numbers.items():
        full = op.Expand(value, op.Shape(outside.features[name].value))
        made[name] = cast_as(outside, name, full)
    return made

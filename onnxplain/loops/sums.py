"""Combinations of plans, written into a loop: what is carried from block to block, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain.errors import MethodError
from onnxplain.features.players import Players
from onnxplain.loops.frame import Answered, Inside, Outside, Result
from onnxplain.loops.points import drawn_paths
from onnxplain.runtime.plans.combinations import Differences, Mean, Spread
from onnxplain.runtime.plans.ways import Ways

__all__ = ["Summed", "write_sums"]

_DOUBLE = int(ir.DataType.DOUBLE)


@dataclass(frozen=True)
class Summed:
    """A combination, ready to be written.

    Attributes
    ----------
    ends
        Whether the score at the baselines is asked for, too.
    begin
        Values that are carried, as they are before the first block.
    add
        Writes them as they are after a block.
    finish
        Writes what comes out, from what was carried, and the scores of the rows themselves, at the baselines
        (if asked for), and of all points: float64 (N,), (N,), (K, N).
    """

    ends: bool
    begin: list[ir.Value]
    add: Callable[[Inside, list[ir.Value], Answered], list[ir.Value]]
    finish: Callable[[list[ir.Value], ir.Value, ir.Value | None, ir.Value], Result]


@singledispatch
def write_sums(combination: Any, outside: Outside, count: int) -> Summed:
    """Return what writes the combination of a plan with this many points.

    Raises
    ------
    MethodError
        If it cannot be written.
    """
    raise MethodError(f"a combination of the kind {type(combination).__name__} cannot be written into a file")


def added(inside: Inside, total: ir.Value, values: ir.Value, weights: ir.Value, rank: int) -> ir.Value:
    """Add values (m, N, ...) of this rank, times weights (m,), to a total (N, ...) of float64."""
    op = inside.op
    wide = op.Mul(inside.counted(op.Cast(values, to=_DOUBLE), rank), inside.spread(weights, rank))
    return cast("ir.Value", op.Add(total, op.ReduceSum(wide, [0], keepdims=0)))


def cast_as(outside: Outside, name: str, value: ir.Value) -> ir.Value:
    """Return attributions of a feature in its dtype, float32 for features that are no floats."""
    dtype = outside.features[name].dtype
    wanted = ir.DataType.from_numpy(dtype) if dtype.kind == "f" else ir.DataType.FLOAT
    return cast("ir.Value", outside.op.Cast(value, to=int(wanted)))


def total_of(outside: Outside, values: dict[str, ir.Value]) -> ir.Value:
    """Return each sample's sum over all features, float64 (N,)."""
    op = outside.op
    sums = []
    for name, value in values.items():
        wide = op.Cast(value, to=_DOUBLE)
        axes = list(range(1, len(outside.features[name].shape) + 1))
        sums.append(op.ReduceSum(wide, axes, keepdims=0) if axes else wide)
    return cast("ir.Value", sums[0] if len(sums) == 1 else op.Sum(*sums))


@write_sums.register
def _mean(combination: Mean, outside: Outside, count: int) -> Summed:
    """Write the mean of the answers, of their standard errors, and of what is missing from their sums."""
    op, features, names = outside.op, outside.features, list(outside.features)
    if combination.each is not None:
        raise MethodError(
            f"a file holds the mean over the rows of a background, and not each ('{combination.each}'); "
            "leave that out, or use the Explainer"
        )

    def add(inside: Inside, carried: list[ir.Value], answers: Answered) -> list[ir.Value]:
        terms = [(answers.values[k], len(features[k].shape) + 2) for k in names]
        if outside.errors:
            terms += [(answers.errors[k], len(features[k].shape) + 2) for k in names]
        if answers.delta is not None:
            terms.append((answers.delta, 2))
        return [added(inside, t, v, inside.live, r) for t, (v, r) in zip(carried, terms, strict=True)]

    def finish(carried: list[ir.Value], score: ir.Value, start: ir.Value | None, scores: ir.Value) -> Result:
        means = [op.Div(total, float(count)) for total in carried]
        values = {k: cast_as(outside, k, v) for k, v in zip(names, means, strict=False)}
        errors = {}
        if outside.errors:
            errors = {k: cast_as(outside, k, v) for k, v in zip(names, means[len(names) :], strict=False)}
        return Result(values, means[-1] if outside.promised else None, errors)

    begin = [outside.zeros(k) for k in names] * (2 if outside.errors else 1)
    if outside.promised:
        begin.append(op.ConstantOfShape(outside.samples, value=ir.tensor(np.zeros(1))))
    return Summed(False, begin, add, finish)


@write_sums.register
def _spread(combination: Spread, outside: Outside, count: int) -> Summed:
    """Write a moment of the answers, and its standard error."""
    op, features, names = outside.op, outside.features, list(outside.features)
    powers = 4 if combination.kind == "variance" else 2
    square = combination.kind == "square"
    each = powers + 1  # the answer at the row itself, which all are counted from, and the powers' sums

    def add(inside: Inside, carried: list[ir.Value], answers: Answered) -> list[ir.Value]:
        made, b = [], inside.op
        for k, name in enumerate(names):
            rank = len(features[name].shape) + 2
            wide = b.Cast(answers.values[name], to=_DOUBLE)
            wide = b.Mul(wide, wide) if square else wide
            origin = inside.first(b.Gather(wide, b.const(np.int64(0)), axis=0), carried[k * each])
            made.append(origin)
            power = wide = b.Sub(wide, b.Unsqueeze(origin, [0]))
            for j in range(powers):
                made.append(added(inside, carried[k * each + 1 + j], power, inside.live, rank))
                power = b.Mul(power, wide)
        return made

    def finish(carried: list[ir.Value], score: ir.Value, start: ir.Value | None, scores: ir.Value) -> Result:
        values, errors = {}, {}
        for k, name in enumerate(names):
            origin, *totals = carried[k * each : (k + 1) * each]
            raw = [op.Div(total, float(count)) for total in totals]
            variance = op.Max(op.Sub(raw[1], op.Mul(raw[0], raw[0])), np.float64(0.0))
            if combination.kind == "variance":
                values[name] = cast_as(outside, name, variance)
                error = _error_of_variance(op, raw, variance, count)
            else:
                values[name] = cast_as(outside, name, op.Add(origin, raw[0]))
                error = op.Sqrt(op.Div(variance, float(count - 1) if count > 1 else float("nan")))
            errors[name] = cast_as(outside, name, error)
        return Result(values, None, errors)

    return Summed(False, [outside.zeros(k) for k in names for _ in range(each)], add, finish)


def _error_of_variance(op: Any, raw: list[Any], variance: Any, n: int) -> Any:
    """Return the standard error of a variance, as Moments has it."""
    if n < 2:
        return op.Mul(variance, float("nan"))
    unbiased = op.Mul(variance, n / (n - 1))
    spread = op.Sub(_fourth_moment(op, raw), op.Mul(op.Mul(unbiased, unbiased), (n - 3) / (n - 1)))
    return op.Mul(op.Sqrt(op.Div(op.Max(spread, np.float64(0.0)), float(n))), (n - 1) / n)


def _fourth_moment(op: Any, raw: list[Any]) -> Any:
    """Return ``E[(a - E a)^4]`` from the first four raw moments."""
    one, two, three, four = raw
    squared = op.Mul(one, one)
    made = op.Sub(four, op.Mul(op.Mul(one, three), 4.0))
    made = op.Add(made, op.Mul(op.Mul(squared, two), 6.0))
    return op.Sub(made, op.Mul(op.Mul(squared, squared), 3.0))


@write_sums.register
def _ways(combination: Ways, outside: Outside, count: int) -> Summed:
    """Write the mean of the answers, each times its way, and its standard error."""
    mean = _spread(Spread("mean"), outside, count)

    def add(inside: Inside, carried: list[ir.Value], answers: Answered) -> list[ir.Value]:
        op, paths = inside.op, drawn_paths(combination.draws, inside)
        values = {k: op.Mul(v, op.Sub(paths[k][1], paths[k][0])) for k, v in answers.values.items()}
        return mean.add(inside, carried, Answered(values, answers.score))

    return Summed(False, mean.begin, add, mean.finish)


@write_sums.register
def _differences(combination: Differences, outside: Outside, count: int) -> Summed:
    """Write what the score loses without each player, and give it to all elements of his."""
    op, players, each = outside.op, outside.who(), combination.each

    def finish(carried: list[ir.Value], score: ir.Value, start: ir.Value | None, scores: ir.Value) -> Result:
        lost = op.Transpose(op.Sub(op.Unsqueeze(score, [0]), scores), perm=[1, 0])  # (N, K)
        parts = [lost]
        if each > 1:
            split = op.Reshape(lost, op.concat([outside.samples, players.count, each]))
            mean = op.ReduceMean(split, [2], keepdims=1)
            apart = op.Sub(split, mean)
            squares = op.ReduceSum(op.Mul(apart, apart), [2], keepdims=0)
            parts = [op.Squeeze(mean, [2]), op.Sqrt(op.Div(squares, float(each * (each - 1))))]
        nothing = op.Mul(op.slice(parts[0], 1, 0, 1), np.float64(0.0))
        found = [spread(outside, op.Concat(v, nothing, axis=1), players) for v in parts]
        return Result(found[0], None, found[1] if each > 1 else {})

    return Summed(False, [], lambda inside, carried, answers: [], finish)


def spread(outside: Outside, padded: Any, players: Players) -> dict[str, ir.Value]:
    """Give each element its player's number: from (N, P + 1), the last one nobody's, to (N, ...)."""
    op, made = outside.op, {}
    for name, feature in outside.features.items():
        ids = players.ids[name].reshape(-1)
        picked = op.Gather(padded, op.initializer(np.where(ids < 0, players.count, ids)), axis=1)
        shape = op.concat([-1, list(feature.known)])
        made[name] = cast_as(outside, name, op.Reshape(picked, shape))
    return made

"""Designed experiments, written into a loop: players kept in degrees, and what the scores say of them."""

from __future__ import annotations

from functools import singledispatch
from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain.errors import MethodError
from onnxplain.loops.frame import Answered, Inside, Outside, Result
from onnxplain.loops.points import Written, write_points
from onnxplain.loops.sums import Summed, spread, write_sums
from onnxplain.runtime.plans.designs import Binary, Designed, Measured, Replicas

__all__: list[str] = []

#: Masks of which all pairs are compared at most.
_MOST = 1024


@write_points.register
def _designed(points: Designed, outside: Outside) -> Written:
    """Write the row, of which each player is kept to a degree."""
    players = outside.who()
    count = points.design.count(players.count)
    kept = points.design.kept(players.count, slice(0, count))
    whole = bool(np.isin(kept, (0, 1)).all())
    degrees = np.concatenate([kept, np.ones((count, 1))], 1)  # nobody's stays
    table = degrees.astype(bool) if whole else degrees

    def make(inside: Inside) -> dict[str, ir.Value]:
        op, made = inside.op, {}
        rows = inside.rows(table)
        for name, feature in outside.features.items():
            ids = players.ids[name].reshape(-1)
            picked = op.Gather(rows, op.initializer(np.where(ids < 0, players.count, ids)), axis=1)
            own = op.Reshape(picked, [-1, 1, *feature.known])
            x, b = inside.value(name), inside.baseline(name)
            if whole:
                made[name] = cast("ir.Value", op.Where(own, x, b))
            else:
                made[name] = inside.faded(name, op.Cast(own, to=int(ir.DataType.from_numpy(feature.dtype))))
        return made

    return Written(count, make)


@write_sums.register
def _measured(combination: Measured, outside: Outside, count: int) -> Summed:
    """Write what a design makes of all scores."""
    players = outside.who()

    def finish(carried: list[ir.Value], score: ir.Value, start: ir.Value | None, scores: ir.Value) -> Result:
        made = _measures(combination.design, outside, scores, players.count)  # (N, P) each
        op = outside.op
        values, errors = (
            spread(outside, op.Concat(v, op.Mul(op.slice(v, 1, 0, 1), np.float64(0.0)), axis=1), players)
            for v in made
        )
        return Result(values, None, errors)

    def add(inside: Inside, carried: list[ir.Value], answers: Answered) -> list[ir.Value]:
        return []

    return Summed(False, [], add, finish)


@singledispatch
def _measures(design: Any, outside: Outside, scores: Any, players: int) -> tuple[Any, Any]:
    """Return a value of each player and its standard error, (N, P), from the scores, float64 (K, N)."""
    raise MethodError(f"a design of the kind {type(design).__name__} cannot be written into a file")


@_measures.register
def _replicas(design: Replicas, outside: Outside, scores: Any, players: int) -> tuple[Any, Any]:
    """Write Jansen's estimate of total Sobol indices."""
    op, n = outside.op, design.samples
    split = op.Reshape(scores, op.concat([[players + 1, n], outside.samples]))
    first = op.slice(split, 0, 0, 1)  # (1, n, N)
    apart = op.Sub(first, op.ReduceMean(first, [1], keepdims=1))
    squares = op.Mul(apart, apart)
    variance = op.Div(op.ReduceSum(squares, [1], keepdims=1), float(n - 1))
    safe = op.Where(op.Greater(variance, np.float64(0.0)), variance, op.const(np.float64(1.0)))
    change = op.Sub(first, op.slice(split, 0, 1, players + 1))  # (P, n, N)
    change = op.Div(op.Mul(change, change), 2.0)
    total = op.Div(op.ReduceMean(change, [1], keepdims=1), safe)  # (P, 1, N)
    left = op.Sub(change, op.Mul(total, squares))
    error = op.Div(_deviation(op, left, 1, n), safe)
    error = op.Div(error, float(np.sqrt(n)))
    return tuple(op.Transpose(op.Squeeze(v, [1]), perm=[1, 0]) for v in (total, error))


def _deviation(op: Any, values: Any, axis: int, count: int) -> Any:
    """Return the unbiased standard deviation along an axis, which stays."""
    apart = op.Sub(values, op.ReduceMean(values, [axis], keepdims=1))
    return op.Sqrt(op.Div(op.ReduceSum(op.Mul(apart, apart), [axis], keepdims=1), float(count - 1)))


@_measures.register
def _binary(design: Binary, outside: Outside, scores: Any, players: int) -> tuple[Any, Any]:
    """Write ``trace(K_i H L H) / N^2``."""
    op, n = outside.op, design.samples
    if n > _MOST:
        raise MethodError(
            f"a file compares all pairs of at most {_MOST:,} masks, not of {n:,}; take fewer (n_samples=...) "
            "or use the Explainer"
        )
    kept = design.kept(players, slice(0, n))
    centred = op.initializer(kept - kept.mean(0))  # (n, P)
    own = op.Transpose(scores, perm=[1, 0])  # (N, n)
    apart = op.Sub(op.Unsqueeze(own, [2]), op.Unsqueeze(own, [1]))  # (N, n, n)
    pairs = n * (n - 1) // 2
    above = op.initializer(np.flatnonzero(np.triu(np.ones((n, n), bool), 1)))
    flat = op.Reshape(apart, [-1, n * n])
    distances = op.Abs(op.Gather(flat, above, axis=1))  # (N, pairs)
    ordered: Any = op.emit("TopK", [distances, [pairs]], {"axis": 1, "_outputs": 2})
    ordered = ordered[0]
    every = op.ConstantOfShape(outside.samples, value=ir.tensor(np.array([pairs], np.int64)))
    middle = _middle(op, ordered, every)
    there = op.Cast(op.Greater(ordered, np.float64(0.0)), to=int(ir.DataType.INT64))
    some = op.ReduceSum(there, [1], keepdims=0)  # (N,)
    other = _middle(op, ordered, op.Max(some, np.int64(1)))
    width = op.Where(op.Greater(middle, np.float64(0.0)), middle, other)  # (N,)
    none = op.LessOrEqual(width, np.float64(0.0))
    safe = op.Unsqueeze(op.Where(none, op.const(np.float64(1.0)), width), [1, 2])
    ratio = op.Div(apart, safe)
    kernel = op.Exp(op.Div(op.Mul(ratio, ratio), -2.0))
    terms = op.Mul(op.Unsqueeze(centred, [0]), op.MatMul(kernel, centred))  # (N, n, P)
    terms = op.Mul(terms, 2.0 / n)
    zero = op.const(np.float64(0.0))
    values = op.ReduceMean(terms, [1], keepdims=0)
    errors = op.Mul(op.Squeeze(_deviation(op, terms, 1, n), [1]), 2.0 / float(np.sqrt(n)))
    return tuple(op.Where(op.Unsqueeze(none, [1]), zero, v) for v in (values, errors))


def _middle(op: Any, ordered: Any, count: Any) -> Any:
    """Return the median of the first so many numbers of each row, (N,): the mean of the middle two."""
    two = [op.Div(op.Sub(count, np.int64(1)), np.int64(2)), op.Div(count, np.int64(2))]
    picked = [op.Squeeze(op.GatherElements(ordered, op.Unsqueeze(k, [1]), axis=1), [1]) for k in two]
    return op.Div(op.Add(*picked), 2.0)

"""Weighted sums of answers along a path, written into a loop."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from onnxplain.loops.frame import Answered, Inside, Outside, Result
from onnxplain.loops.inside import integral_inside
from onnxplain.loops.sums import Summed, added, cast_as, total_of, write_sums
from onnxplain.runtime.plans.combinations import Integral

__all__: list[str] = []

_DOUBLE = int(ir.DataType.DOUBLE)


@write_sums.register
def _integral(combination: Integral, outside: Outside, count: int) -> Summed:
    """Write a weighted sum of the answers, maybe times the way."""
    if outside.layers:
        return integral_inside(combination, outside)
    op, features = outside.op, outside.features
    ends = combination.ends(checked=True)

    def add(inside: Inside, carried: list[ir.Value], answers: Answered) -> list[ir.Value]:
        weights = inside.weights(combination.weights)
        return [
            added(inside, total, answers.values[k], weights, len(f.shape) + 2)
            for total, (k, f) in zip(carried, features.items(), strict=True)
        ]

    def finish(carried: list[ir.Value], score: ir.Value, start: ir.Value | None, scores: ir.Value) -> Result:
        values = {}
        for total, (name, f) in zip(carried, features.items(), strict=True):
            made: Any = total
            if combination.times_difference:
                made = op.Mul(total, op.Cast(op.Sub(f.value, f.baseline), to=_DOUBLE))
            values[name] = cast_as(outside, name, made)
        if not ends or start is None:
            return Result(values)
        return Result(values, op.Sub(total_of(outside, values), op.Sub(score, start)))

    return Summed(ends, [outside.zeros(k) for k in features], add, finish)

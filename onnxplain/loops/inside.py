"""What becomes of values inside a model, and of gradients there, along a path: written into a loop."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.loops.frame import Answered, Inside, Outside, Result
from onnxplain.loops.sums import Summed, write_sums
from onnxplain.runtime.plans.combinations import Integral
from onnxplain.runtime.plans.inside import Conductance

__all__ = ["integral_inside"]

_DOUBLE = int(ir.DataType.DOUBLE)


def integral_inside(combination: Integral, outside: Outside) -> Summed:
    """Return what writes a weighted sum of the gradients at layers."""
    names = list(outside.layers)

    def add(inside: Inside, carried: list[ir.Value], answers: Answered) -> list[ir.Value]:
        op, made = inside.op, []
        weights = inside.weights(combination.weights)
        for total, name in zip(carried, names, strict=True):
            wide = op.Cast(answers.values[name], to=_DOUBLE)
            rows = inside.counted(op.Reshape(wide, [0, -1]), 2)
            summed = op.MatMul(op.Unsqueeze(weights, [0]), rows)
            made.append(op.Add(total, op.Reshape(summed, op.Shape(wide, start=1))))
        return made

    def finish(carried: list[ir.Value], score: ir.Value, start: ir.Value | None, scores: ir.Value) -> Result:
        return Result({k: _narrow(outside, v) for k, v in zip(names, carried, strict=True)})

    return Summed(False, [_nothing(outside) for _ in names], add, finish)


@write_sums.register
def _conductance(combination: Conductance, outside: Outside, count: int) -> Summed:
    """Write ``sum_k g_k (Y_(k+1) - Y_k)``: what is carried is the last cell's start, node and gradient."""
    op, names = outside.op, list(outside.layers)
    shares = np.asarray((1.0, *combination.shares[1:]), np.float64)  # the first point is where cells begin
    each = 4

    def add(inside: Inside, carried: list[ir.Value], answers: Answered) -> list[ir.Value]:
        b, made = inside.op, []
        share, live = inside.rows(shares), b.Greater(inside.live, 0.0)
        points = facts.static_dim(inside.step, 0)
        assert points is not None  # the loop knows how many it takes at once
        for k, name in enumerate(names):
            flow: list[Any] = list(carried[k * each : (k + 1) * each])
            y, g = (b.Cast(v[name], to=_DOUBLE) for v in (answers.probed, answers.values))
            for j in range(points):
                here, own, slope = (b.Gather(v, b.const(np.int64(j)), axis=0) for v in (live, y, g))
                part = b.Gather(share, b.const(np.int64(j)), axis=0)
                met, total, value, gradient = flow
                meet = b.Add(b.Mul(b.Sub(1.0, part), value), b.Mul(part, own))
                went = b.Add(total, b.Mul(gradient, b.Sub(meet, met)))
                after = (meet, went, own, slope)
                flow = [b.Where(here, new, old) for new, old in zip(after, flow, strict=True)]
            made += flow
        return made

    def finish(carried: list[ir.Value], score: ir.Value, start: ir.Value | None, scores: ir.Value) -> Result:
        values = {k: _narrow(outside, carried[each * i + 1]) for i, k in enumerate(names)}
        if not combination.whole:
            return Result(values)
        sums = []
        for value in values.values():
            flat = op.Reshape(op.Cast(value, to=_DOUBLE), op.concat([outside.samples, -1]))
            sums.append(op.ReduceSum(flat, [1], keepdims=0))
        total = sums[0] if len(sums) == 1 else op.Sum(*sums)
        ends = [op.Gather(scores, op.const(np.int64(j)), axis=0) for j in (0, count - 1)]
        return Result(values, op.Sub(total, op.Sub(ends[1], ends[0])))

    return Summed(False, [_nothing(outside) for _ in range(each * len(names))], add, finish)


def _nothing(outside: Outside) -> ir.Value:
    """Return 0, which is carried as a layer's numbers are: the first point gives it their shape."""
    zero = outside.op.Identity(outside.op.const(np.zeros((), np.float64)), _fold=False)
    zero.shape = None
    return cast("ir.Value", zero)


def _narrow(outside: Outside, value: ir.Value) -> ir.Value:
    """Return what is found of a layer in the features' dtype."""
    dtype = next(iter(outside.features.values())).dtype
    wanted = ir.DataType.from_numpy(dtype) if dtype.kind == "f" else ir.DataType.FLOAT
    return cast("ir.Value", outside.op.Cast(value, to=int(wanted)))

"""Windows that hide or change what lies in them, written into a loop; and what the scores there say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain.errors import MethodError
from onnxplain.kernels.uniform import uniforms
from onnxplain.loops.frame import Answered, Inside, Outside, Result
from onnxplain.loops.points import Written, write_points
from onnxplain.loops.sums import Summed, cast_as, write_sums
from onnxplain.runtime.plans.redrawn import Evidence, Redrawn
from onnxplain.runtime.plans.windows import Overlaps, Slides, Windows, WithoutWindow, covering

__all__: list[str] = []


def _slides(windows: Windows, outside: Outside) -> dict[str, Slides]:
    return windows.over({k: np.empty((1, *f.known), f.dtype) for k, f in outside.features.items()})


@write_points.register
def _without_window(points: WithoutWindow, outside: Outside) -> Written:
    """Write the row without what lies in a window of one of the features."""
    count = sum(own.count for own in _slides(points.windows, outside).values())

    def make(inside: Inside) -> dict[str, ir.Value]:
        op, made = inside.op, {}
        for name, covered in _covered(points.windows, inside).items():
            gone = op.Unsqueeze(covered, [1])
            made[name] = cast("ir.Value", op.Where(gone, inside.baseline(name), inside.value(name)))
        return made

    return Written(count, make)


@write_points.register
def _redrawn(points: Redrawn, outside: Outside) -> Written:
    """Write the row with what rows of the background have in a window, or the baseline."""
    if points.gaussians:
        raise MethodError(
            "draws from a Gaussian, given what lies around a window, are made of each sample and cannot be "
            "written into a file; take sampler='marginal', or use the Explainer"
        )
    count = points.samples * sum(own.count for own in _slides(points.windows, outside).values())
    rows = next(iter(points.rows.values()), None)
    table: Any = None
    if rows is not None:
        drawn = uniforms(points.seed, 0, 0, count, 1)[:, 0]
        table = np.minimum((drawn * len(rows)).astype(np.int64), len(rows) - 1)

    def make(inside: Inside) -> dict[str, ir.Value]:
        op, made = inside.op, {}
        window = replace(inside, step=op.Div(inside.step, np.int64(points.samples)))
        for name, covered in _covered(points.windows, window).items():
            instead = inside.baseline(name)
            if table is not None:
                here = op.Gather(op.initializer(points.rows[name]), inside.rows(table), axis=0)
                instead = op.Unsqueeze(here, [1])
            made[name] = cast("ir.Value", op.Where(op.Unsqueeze(covered, [1]), instead, inside.value(name)))
        return made

    return Written(count, make)


def _covered(windows: Windows, inside: Inside) -> dict[str, ir.Value]:
    """Return what the windows of a block cover, bool (m, ...) by feature; nothing in other features."""
    op, made, first = inside.op, {}, 0
    for name, slides in _slides(windows, inside.outside).items():
        which = op.Sub(inside.step, np.int64(first))
        own = op.And(op.GreaterOrEqual(which, np.int64(0)), op.Less(which, np.int64(slides.count)))
        rank = len(slides.shape)
        covered = inside.spread(own, rank + 1)
        rest = op.Max(op.Min(which, np.int64(slides.count - 1)), np.int64(0))
        for axis in reversed(range(rank)):
            length, count = slides.shape[axis], slides.counts[axis]
            start = op.Mul(op.Mod(rest, np.int64(count)), np.int64(slides.strides[axis]))
            rest = op.Div(rest, np.int64(count))
            if slides.window[axis] >= length:
                continue
            places = np.arange(length, dtype=np.int64).reshape(
                *(length if k == axis else 1 for k in range(rank))
            )
            behind = op.Sub(op.const(places[None]), inside.spread(start, rank + 1))
            along = op.And(
                op.GreaterOrEqual(behind, np.int64(0)), op.Less(behind, np.int64(slides.window[axis]))
            )
            covered = op.And(covered, along)
        made[name] = covered
        first += slides.count
    return made


def _over(outside: Outside, slides: Slides, numbers: Any) -> Any:
    """Give each element the sum of the numbers, (N, windows), of the windows in which it lies: (N, ...)."""
    op, rank = outside.op, len(slides.shape) + 1
    made = op.Reshape(numbers, [-1, *slides.counts])
    sizes = zip(slides.shape, slides.window, slides.strides, slides.counts, strict=True)
    for axis, (length, window, stride, count) in enumerate(sizes, 1):
        behind = np.arange(length)[None] - stride * np.arange(count)[:, None]
        along = ((behind >= 0) & (behind < window)).astype(np.float64)  # (count, length)
        moved = op.MatMul(op.move_axis(made, rank, axis, rank - 1), op.initializer(along))
        made = op.move_axis(moved, rank, rank - 1, axis)
    return made


def _means(outside: Outside, windows: Windows, numbers: Any) -> dict[str, Any]:
    """Give each element the mean of the numbers, (N, windows), of the windows in which it lies."""
    op, made, first = outside.op, {}, 0
    for name, own in _slides(windows, outside).items():
        mine = op.slice(numbers, 1, first, first + own.count)
        made[name] = op.Div(_over(outside, own, mine), op.const(covering(own)[None]))
        first += own.count
    return made


def _nothing(inside: Inside, carried: list[ir.Value], answers: Answered) -> list[ir.Value]:
    return []


@write_sums.register
def _overlaps(combination: Overlaps, outside: Outside, count: int) -> Summed:
    """Write what the score loses without a window, averaged over the windows in which an element lies."""

    def finish(carried: list[ir.Value], score: ir.Value, start: ir.Value | None, scores: ir.Value) -> Result:
        op = outside.op
        lost = op.Transpose(op.Sub(op.Unsqueeze(score, [0]), scores), perm=[1, 0])
        means = _means(outside, combination.windows, lost)
        return Result({k: cast_as(outside, k, v) for k, v in means.items()})

    return Summed(False, [], _nothing, finish)


@write_sums.register
def _evidence(combination: Evidence, outside: Outside, count: int) -> Summed:
    """Write what the score loses where a window is drawn anew, and its standard error."""
    if combination.measure != "difference":
        raise MethodError(
            "odds are those of probabilities, which a file cannot refuse other scores for; take "
            "evidence='difference', or use the Explainer"
        )
    n = combination.samples

    def finish(carried: list[ir.Value], score: ir.Value, start: ir.Value | None, scores: ir.Value) -> Result:
        op = outside.op
        lost = op.Transpose(op.Sub(op.Unsqueeze(score, [0]), scores), perm=[1, 0])
        split = op.Reshape(lost, op.concat([outside.samples, count // n, n]))
        mean = op.ReduceMean(split, [2], keepdims=0)
        squares = op.ReduceMean(op.Mul(split, split), [2], keepdims=0)
        spread = op.Max(op.Sub(squares, op.Mul(mean, mean)), np.float64(0.0))
        spread = op.Div(spread, float(n - 1) if n > 1 else float("nan"))
        values = _means(outside, combination.windows, mean)
        errors = _means(outside, combination.windows, spread)
        times = {k: covering(v)[None] for k, v in _slides(combination.windows, outside).items()}
        return Result(
            {k: cast_as(outside, k, v) for k, v in values.items()},
            None,
            {k: cast_as(outside, k, op.Sqrt(op.Div(v, op.const(times[k])))) for k, v in errors.items()},
        )

    return Summed(False, [], _nothing, finish)

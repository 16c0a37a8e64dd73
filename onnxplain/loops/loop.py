"""A plan as one graph: a loop over blocks of points, whose body holds the model once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.graph import facts
from onnxplain.graph.names import Names
from onnxplain.loops.body import Body
from onnxplain.loops.frame import Answered, Inside, Outside, Result
from onnxplain.loops.points import Written
from onnxplain.loops.sums import Summed
from onnxplain.runtime.layout import Layout

__all__ = ["Looped", "write_loop"]

_DOUBLE = int(ir.DataType.DOUBLE)


@dataclass(frozen=True)
class Looped:
    """What came out of the loop.

    Attributes
    ----------
    result
        The attributions, and what can be checked of them.
    originals
        The model's own outputs, by name.
    score
        (N,): the explained scores, float64.
    index
        int64 (N,) or (N, k): of the scores, where that is predicted.
    """

    result: Result
    originals: dict[str, ir.Value]
    score: ir.Value
    index: ir.Value | None = None


def write_loop(
    outside: Outside,
    program: Body,
    written: Written,
    summed: Summed,
    layout: Layout,
    given: Mapping[str, ir.Value],
    originals: Sequence[str],
    at_once: int,
) -> Looped:
    """Write a loop over the points of a plan into a graph.

    The first point is the row itself, whose prediction is the file's; then comes the baseline, where its
    score is asked for; then those of the plan.  A last block that is not full is filled with points that
    count for nothing; so is the first one where it tells what is predicted, and so explained at the others.

    Parameters
    ----------
    outside
        The graph around the loop.
    program
        What answers at points.  Its graph becomes the body.
    written, summed
        The plan's points and combination.
    layout
        Where samples lie in inputs and values.
    given
        The inputs of the program that are not varied, and its target, by name, outside the loop.
    originals
        Names of the model's outputs, which the program has.
    at_once
        Points of a block, m.
    """
    op, body = outside.op, program.model.graph
    names, mark = Names(body), f"{outside.depth}" if outside.depth else ""
    inside_op = Emitter(body, op.opset, names.scope(f"onnxplain/point{mark}"))
    extras = (1 if program.index is None else at_once) + summed.ends
    blocks = -(-(written.count + extras) // at_once)
    made = {str(v.name): v for v in body.outputs}
    number = ir.Value(
        name=names.free(f"block{mark}"), type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([])
    )
    going = ir.Value(
        name=names.free(f"going{mark}"), type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape([])
    )
    first = next(iter(body), None)
    inside_op.before = first
    offsets = np.arange(at_once, dtype=np.int64) - extras
    place = inside_op.Add(inside_op.Mul(number, np.int64(at_once)), inside_op.const(offsets))
    last = np.int64(written.count - 1)
    step = inside_op.Min(inside_op.Max(place, np.int64(0)), last)
    alive = inside_op.Equal(place, step)
    inside = Inside(inside_op, outside, step, inside_op.Cast(alive, to=_DOUBLE), number, names)
    points = written.make(inside)
    points = {k: _at_ends(inside, k, p, place, extras) for k, p in points.items()}
    fed = {k: _laid_out(inside, k, p, layout.axes[k]) for k, p in points.items()}
    if program.references:
        starts = {} if written.starts is None else written.starts(inside)
        for label, name in zip(program.references, outside.features, strict=True):
            like = inside_op.Shape(points[name])
            start = inside_op.Expand(starts.get(name, inside.baseline(name)), like)
            fed[label] = _laid_out(inside, name, start, layout.axes[name])
    index = None
    if program.index is not None:
        index = ir.Value(name=names.free(f"carried{mark}/target"), type=ir.TensorType(ir.DataType.INT64))
    for value in list(body.inputs):
        label = str(value.name)
        if label in fed:
            new = fed[label]
        elif index is not None and label == program.target:
            repeats = [at_once] + [1] * ((facts.rank(value) or 1) - 1)
            new = inside_op.Tile(index, repeats) if at_once > 1 else index
        elif at_once == 1:
            new = given[label]
        else:
            new = _tiled(
                inside_op, given[label], 0 if label == program.target else layout.axes[label], at_once
            )
        value.replace_all_uses_with(new, replace_graph_outputs=True)
    body.inputs.clear()
    inside_op.before = None
    score = inside_op.Reshape(made[program.score], [at_once, -1])
    axes = outside.layers or {name: layout.axes[name] for name in outside.features}
    values, errors, probed = (
        {
            name: _rows(inside, name, made[output], axis, at_once)
            for (name, axis), output in zip(axes.items(), labels, strict=False)
        }
        for labels in (program.attributions, program.errors, program.probed)
    )
    delta = None
    if program.delta is not None:
        delta = inside_op.Reshape(made[program.delta], [at_once, -1])
    elif program.reference_score is not None:
        there = inside_op.Reshape(made[program.reference_score], [at_once, -1])
        delta = _missing(inside, values, score, there)
    sums = [_like(names, v, f"carried{mark}/{k}") for k, v in enumerate(summed.begin)]
    after = summed.add(inside, sums, Answered(values, score, delta, errors, probed))
    kept, kept_after, empty = [], [], []
    for name in originals:
        before = ir.Value(name=names.free(f"carried{mark}/{name}"), type=made[name].type)
        mine = _first_rows(inside, made[name], layout, name, at_once)
        kept.append(before)
        kept_after.append(inside.first(mine, before))
        axis = layout.axis_of(name, facts.dims(made[name]))
        empty.append(_nothing(op, made[name], axis, outside.samples))
    if index is not None:
        mine = made[str(program.index)]
        if at_once > 1:
            mine = inside_op.slice(mine, 0, 0, outside.samples)
        kept, empty = [*kept, index], [*empty, given[program.target]]
        kept_after.append(inside.first(mine, index))
    go_on = inside_op.Identity(going, _fold=False)
    body.inputs.extend([number, going, *sums, *kept])
    body.outputs.clear()
    body.outputs.extend([go_on, *after, *kept_after, score])
    body.name = "point"
    count = len(sums) + len(kept) + 1
    loop = ir.node(
        "Loop",
        [op.const(np.int64(blocks)), op.const(np.array(True)), *summed.begin, *empty],
        {"body": ir.AttrGraph("body", body)},
        num_outputs=count,
    )
    loop.name = op.fresh("Loop")
    op.graph.append(loop)
    for k, (made_of, value) in enumerate(zip(loop.outputs, [*sums, *kept, score], strict=True)):
        made_of.name, made_of.type = f"{loop.name}.{k}", value.type
    finals, outputs = list(loop.outputs[: len(sums)]), loop.outputs[len(sums) : -1]
    for final, value in zip(finals, summed.begin, strict=True):
        op.annotate(final, value)
    scores = op.Cast(op.Reshape(loop.outputs[-1], [blocks * at_once, -1]), to=_DOUBLE)
    own = op.Gather(scores, op.const(np.int64(0)), axis=0)
    start = op.Gather(scores, op.const(np.int64(extras - 1)), axis=0) if summed.ends else None
    plan = op.slice(scores, 0, extras, extras + written.count)
    result = summed.finish(finals, own, start, plan)
    named = dict(zip(originals, outputs, strict=False))
    return Looped(result, named, own, None if index is None else outputs[-1])


def _at_ends(inside: Inside, name: str, points: ir.Value, place: ir.Value, extras: int) -> ir.Value:
    """Put the row itself, and its baseline where that is asked for, in their places among points."""
    op = inside.op
    rank = len(inside.outside.features[name].shape) + 2
    here = inside.spread(op.Equal(place, np.int64(-extras)), rank)
    made = op.Where(here, inside.value(name), points)
    if extras > 1:
        there = inside.spread(op.Equal(place, np.int64(-1)), rank)
        made = op.Where(there, inside.baseline(name), made)
    return cast("ir.Value", made)


def _missing(inside: Inside, values: dict[str, ir.Value], score: ir.Value, there: ir.Value) -> ir.Value:
    """Return how far attributions' sums are from the scores' differences from a reference, (m, N)."""
    op, sums = inside.op, []
    for name, value in values.items():
        axes = list(range(2, len(inside.outside.features[name].shape) + 2))
        wide = op.Cast(value, to=_DOUBLE)
        sums.append(op.ReduceSum(wide, axes, keepdims=0) if axes else wide)
    total = sums[0] if len(sums) == 1 else op.Sum(*sums)
    gained = op.Sub(op.Cast(score, to=_DOUBLE), op.Cast(there, to=_DOUBLE))
    return cast("ir.Value", op.Sub(total, gained))


def _laid_out(inside: Inside, name: str, points: ir.Value, axis: int | None) -> ir.Value:
    """Lay points (m, N, ...) out as the model takes a value: samples along an axis."""
    op, feature = inside.op, inside.outside.features[name]
    rest = _rest(inside, name)
    if axis is None:
        return cast("ir.Value", op.Reshape(points, rest))
    flat = op.Reshape(points, op.concat([-1, rest]))
    rank = len(feature.shape) + 1
    return op.move_axis(flat, rank, 0, axis)


def _rows(inside: Inside, name: str, value: ir.Value, axis: int | None, at_once: int) -> ir.Value:
    """Undo :func:`_laid_out`."""
    op = inside.op
    if name in inside.outside.layers:
        rank = facts.rank(value) or 1
        first = op.Unsqueeze(value, [0]) if axis is None else op.move_axis(value, rank, axis, 0)
        return cast("ir.Value", op.Reshape(first, op.concat([at_once, -1, op.Shape(first, start=1)])))
    if axis is not None:
        value = op.move_axis(value, len(inside.outside.features[name].shape) + 1, axis, 0)
    return cast("ir.Value", op.Reshape(value, op.concat([at_once, -1, _rest(inside, name)])))


def _rest(inside: Inside, name: str) -> ir.Value:
    """Return the shape of one sample of a feature, int64."""
    feature = inside.outside.features[name]
    if all(d is not None for d in feature.shape):
        return inside.op.const(np.array(feature.shape, np.int64))
    return cast("ir.Value", inside.op.Shape(feature.value, start=1))


def _tiled(op: Emitter, value: ir.Value, axis: int | None, at_once: int) -> ir.Value:
    """Repeat an input that is not varied for each of the points, along its samples' axis."""
    if axis is None:
        return value
    rank = facts.rank(value)
    assert rank is not None  # an input with an axis of samples
    return cast("ir.Value", op.Tile(value, [at_once if k == axis else 1 for k in range(rank)]))


def _first_rows(inside: Inside, value: ir.Value, layout: Layout, name: str, at_once: int) -> ir.Value:
    """Return the rows of the first point of a block."""
    axis = layout.axis_of(name, facts.dims(value))
    if at_once == 1 or axis is None:
        return value
    op = inside.op
    return op.slice(value, axis, 0, inside.outside.samples)


def _nothing(op: Emitter, value: ir.Value, axis: int | None, samples: ir.Value) -> ir.Value:
    """Return what is carried of an output before it is known: zeros in its shape, where that is known."""
    shape, dtype = facts.dims(value) or (None,), value.dtype or ir.DataType.FLOAT
    if dtype == ir.DataType.STRING:
        return op.initializer(np.zeros((0,) * len(shape), object).astype(str))
    if not all(isinstance(d, int) or k == axis for k, d in enumerate(shape)):
        return op.initializer(np.zeros((0,) * len(shape), dtype.numpy()))
    lengths = op.concat([samples if k == axis else cast("int", d) for k, d in enumerate(shape)] or [[]])
    made = op.ConstantOfShape(lengths, value=ir.tensor(np.zeros(1, dtype.numpy())))
    return op.annotate(made, value)


def _like(names: Names, value: ir.Value, name: str) -> ir.Value:
    return ir.Value(name=names.free(name), type=value.type, shape=value.shape)

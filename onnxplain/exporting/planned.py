"""A model and a plan as one graph, as exported files hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, Arrays
from onnxplain.backward.asks import Probe, Scores, Walk
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.program import build
from onnxplain.backward.question import Question
from onnxplain.errors import MethodError
from onnxplain.features.players import Players
from onnxplain.graph import facts
from onnxplain.graph.names import Names
from onnxplain.graph.normalize import Normalized
from onnxplain.loops import (
    Body,
    Feature,
    Outside,
    Result,
    of_program,
    through_neuron,
    write_loop,
    write_points,
    write_sums,
)
from onnxplain.loops.loop import Looped
from onnxplain.methods.inner.neurons import ThroughNeuron
from onnxplain.runtime.front import front
from onnxplain.runtime.layout import Layout
from onnxplain.runtime.opened import known_channel, opened_at
from onnxplain.runtime.plans.plan import Inner, Plan
from onnxplain.runtime.plans.points import Backgrounds
from onnxplain.runtime.programs import Form, Programs, lower

__all__ = ["Compared", "Planned", "write_plan"]


@dataclass(frozen=True)
class Compared:
    """What stands where features are taken away, and who they are: constants of the file.

    Attributes
    ----------
    starts
        By feature: a baseline, which broadcasts to one sample or (1, ...).
    background
        By feature, (M, ...): rows that each are a baseline; empty if there is one only.
    players
        What is taken away together; None for single elements.
    """

    starts: Mapping[str, Array]
    background: Arrays
    players: Players | None


@dataclass(frozen=True)
class Planned:
    """A graph that runs a plan.

    Attributes
    ----------
    model
        Its outputs are still to be set.
    result
        What comes out of the loop, by explained value, laid out as the model has it.
    index
        The target's index, where that is predicted.
    target
        Name of the target's input, if there is one.
    beside
        Values inside the model, at the rows themselves, that were asked for.
    """

    model: ir.Model
    result: Result
    index: ir.Value | None
    target: str
    beside: Mapping[str, ir.Value]


@dataclass(frozen=True)
class _Writer:
    """What is the same for a plan and for those inside it."""

    normal: Normalized
    question: Question
    layout: Layout
    originals: Sequence[str]
    compared: Compared
    at_once: int
    form: Form
    beside: dict[str, ir.Value] = field(default_factory=dict)


def write_plan(
    normal: Normalized,
    question: Question,
    plan: Plan,
    layout: Layout,
    originals: Sequence[str],
    compared: Compared,
    *,
    at_once: int = 1,
    form: Form = "portable",
    beside: Sequence[str] = (),
) -> Planned:
    """Write the graph: what is varied, a loop over the plan's points, and what becomes of their answers.

    Plans inside a plan become loops inside the loop.

    Parameters
    ----------
    normal
        The model.
    question
        What is explained; what is asked is the plan's matter.
    plan
        Which points, and what becomes of the answers.
    layout
        Where samples lie.
    originals
        Names of the model's outputs.
    compared
        What points are compared with.
    at_once
        Points of a block, of the innermost plan; 1 where samples cannot be repeated beside each other, or an
        output of the model mixes them.
    form
        For whom the file is.
    beside
        Names of values inside the model that are computed around the loop, too.

    Raises
    ------
    MethodError
        If the plan cannot be written.
    """
    alone = layout.whole or layout.exact is not None or layout.alone is not None or layout.flat is not None
    alone = alone or any(name not in layout.inner for name in originals)  # it would see the other points
    layout = replace(layout, axes={**{n: layout.inner.get(n) for n in question.wrt}, **layout.axes})
    writer = _Writer(normal, question, layout, originals, compared, 1 if alone else at_once, form)
    body = _body(writer, plan.question, plan.points, 1, given=False)
    target = next((v for v in body.model.graph.inputs if v.name == body.target), None)
    model = _around(normal, question, target, beside, writer.beside)
    looped = _looped(writer, plan, body, model, 0, {})
    return Planned(model, looped.result, looped.index, body.target, writer.beside)


def _values(model: ir.Model) -> dict[str, ir.Value]:
    graph = model.graph
    return {str(v.name): v for v in graph.inputs} | {str(v.name): v for n in graph for v in n.outputs}


def _looped(
    writer: _Writer,
    plan: Plan,
    body: Body,
    model: ir.Model,
    depth: int,
    references: Mapping[str, ir.Value],
) -> Looped:
    """Write a loop over a plan's points into a graph; what comes out lies as the model has it."""
    normal, question, layout, compared = writer.normal, writer.question, writer.layout, writer.compared
    graph, values = model.graph, _values(model)
    scope = f"onnxplain/outside{depth}" if depth else "onnxplain/outside"
    op = Emitter(graph, normal.opset, Names(graph).scope(scope))
    features = {
        n: _feature(op, values[n], n, layout.axes[n], compared.starts, references.get(n))
        for n in question.wrt
    }
    first = next(iter(features.values())).value
    samples = cast("ir.Value", op.Shape(first, start=0, end=1))
    inner = plan.question.values if isinstance(plan.question, Probe) else ()
    layers = {name: _axis_inside(writer, name) for name in inner}
    outside = Outside(
        op, features, {} if references else compared.background, compared.players, samples,
        body.promised, bool(body.errors), depth, layout.axes, partial(_channel_of, writer),
        writer.beside, layers,
    )  # fmt: skip
    written = write_points(plan.points, outside)
    summed = write_sums(plan.combination, outside, written.count)
    given = {k: v for k, v in values.items() if k not in features}
    at_once = 1 if isinstance(plan.question, Plan) else writer.at_once
    made = write_loop(outside, body, written, summed, layout, given, writer.originals, at_once)
    source = {str(v.name): v for v in normal.model.graph.outputs}
    for name, value in made.originals.items():
        value.name, value.type, value.shape = name, source[name].type, source[name].shape
    if made.result.delta is not None:
        made.result.delta.shape = ir.Shape(["batch"])
    axes, likes = {**layout.axes, **layers}, {**_values(normal.model), **values}
    found, errors = (
        {k: _back(op, v, axes[k], likes[k]) for k, v in of.items()}
        for of in (made.result.values, made.result.errors)
    )
    return replace(made, result=replace(made.result, values=found, errors=errors))


def _body(writer: _Writer, question: Inner, points: object, depth: int, *, given: bool) -> Body:
    """Return what answers a question at points: the model, or a loop over points near them.

    Parameters
    ----------
    writer
        What is the same everywhere.
    question
        What is asked.
    points
        Where.
    depth
        In how many loops it lies.
    given
        Whether the baselines come from outside.
    """
    given = given or (isinstance(points, Backgrounds) and bool(writer.compared.background))
    normal = writer.normal
    if isinstance(question, Plan):
        inner = _body(writer, question.question, question.points, depth + 1, given=given)
        model, references = _within(writer, inner, given=given)
        looped = _looped(writer, question, inner, model, depth, references)
        result, wrt = looped.result, writer.question.wrt
        errors = [result.errors[k] for k in wrt if k in result.errors]
        last = [v for v in (result.delta, looped.index) if v is not None]
        parts = [looped.score, *(result.values[k] for k in wrt), *errors, *looped.originals.values(), *last]
        model.graph.outputs.extend(parts)
        return Body(
            model,
            inner.target,
            str(looped.score.name),
            tuple(str(result.values[k].name) for k in wrt),
            tuple(str(v.name) for v in references.values()),
            None if looped.index is None else str(looped.index.name),
            None,
            None if result.delta is None else str(result.delta.name),
            tuple(str(v.name) for v in errors),
        )
    asked = replace(writer.question, cut=True)
    if isinstance(question, ThroughNeuron):
        body = through_neuron(normal, asked, question, _axis_inside(writer, question.layer), writer.originals)
        lower(body.model, writer.form)
        return body
    if not isinstance(question, (Scores, Walk)) and not (isinstance(question, Probe) and depth == 1):
        what = "values inside the model" if isinstance(question, Probe) else "answers, to choose its points"
        raise MethodError(
            f"what is asked at the points looks at {what}, and cannot be written into a file; use the "
            "Explainer"
        )
    asked = replace(asked, ask=question)
    known = dict(writer.compared.starts) if asked.walk.composite.reference and not given else None
    program = build(normal, asked, keep=writer.originals, references=known)
    lower(program.model, writer.form)
    return of_program(program)


def _axis_inside(writer: _Writer, name: str) -> int | None:
    """Return where samples lie in a value inside, None where it is one sample's.

    Raises
    ------
    MethodError
        If that is not known, and a file may be given several.
    """
    layout = writer.layout
    if name in layout.axes:
        return layout.axes[name]
    axis = layout.axis_of(name, facts.dims(_values(writer.normal.model)[name]))
    if axis is None and not (layout.whole or (layout.exact == 1 and layout.alone is None)):
        raise MethodError(
            f"it is not known along which axis of '{name}' the samples lie, and a file may get several; fix "
            "the batch to 1 when exporting the model, look elsewhere, or use the Explainer"
        )
    return axis


def _within(writer: _Writer, inner: Body, *, given: bool) -> tuple[ir.Model, dict[str, ir.Value]]:
    """Return the graph around a loop inside another one, and its inputs for baselines, by feature."""
    source, wrt = writer.normal.model, writer.question.wrt
    there = _values(source)
    graph = ir.Graph([], [], nodes=[], opset_imports=dict(source.opset_imports), name="point")
    own = {str(v.name): v for v in inner.model.graph.inputs}
    taken = Names(inner.model.graph)
    references = {}
    if given:
        references = {
            k: ir.Value(name=taken.free(f"reference/{k}"), type=there[k].type, shape=there[k].shape)
            for k in wrt
        }
    others = [v for k, v in own.items() if k not in wrt and k not in inner.references]
    graph.inputs.extend(ir.Value(name=v.name, type=v.type, shape=v.shape) for v in [there[k] for k in wrt])
    graph.inputs.extend(ir.Value(name=v.name, type=v.type, shape=v.shape) for v in others)
    graph.inputs.extend(references.values())
    return ir.Model(graph, ir_version=source.ir_version), references


def _channel_of(writer: _Writer, name: str) -> int | None:
    """Return the axis of a feature's channels once its samples lie first, where the graph tells it."""
    arrays = {}
    for value in writer.normal.model.graph.inputs:
        dims = [d if isinstance(d, int) else 1 for d in facts.dims(value) or ()]
        arrays[str(value.name)] = np.zeros(dims, (value.dtype or ir.DataType.FLOAT).numpy())
    model = opened_at(Programs(writer.normal, "cpu"), writer.layout, arrays)
    return known_channel(model, name, writer.layout.axes[name])


def _around(
    normal: Normalized,
    question: Question,
    target: ir.Value | None,
    beside: Sequence[str],
    found: dict[str, ir.Value],
) -> ir.Model:
    """Return the graph around the loop: the model's inputs, the target, and what computes inner values.

    Those ``beside`` are put into ``found``.
    """
    source = normal.model
    own = {str(v.name) for v in source.graph.inputs}
    inner = tuple(name for name in question.wrt if name not in own)
    if inner or beside:
        model = front(source, (*inner, *beside))
        found.update(zip(beside, model.graph.outputs[len(inner) :], strict=True))
        _rename(model.graph, inner)
    else:
        graph = ir.Graph([], [], nodes=[], opset_imports=dict(source.opset_imports), name="explained")
        model = ir.Model(graph, ir_version=source.ir_version)
    there = {v.name: v for v in model.graph.inputs}
    ordered = [
        there[v.name] if v.name in there else ir.Value(name=v.name, type=v.type, shape=v.shape)
        for v in source.graph.inputs
    ]
    if target is not None:
        ordered.append(ir.Value(name=target.name, type=target.type, shape=target.shape))
    graph = model.graph
    graph.inputs.clear()
    graph.inputs.extend(ordered)
    graph.outputs.clear()
    graph.name = "explained"
    return model


def _rename(graph: ir.Graph, kept: Sequence[str]) -> None:
    """Give what lies before the loop other names than what lies in it; some values keep theirs."""
    for node in graph:
        node.name = f"{node.name}/before"
        for output in node.outputs:
            if output.name not in kept:
                output.name = f"{output.name}/before"
    for name in list(graph.initializers):
        value = graph.initializers.pop(name)
        value.name = f"{name}/before"
        graph.register_initializer(value)


def _feature(
    op: Emitter,
    value: ir.Value,
    name: str,
    axis: int | None,
    starts: Mapping[str, Array],
    reference: ir.Value | None,
) -> Feature:
    """Bring a value's samples to the front."""
    shape = facts.dims(value)
    if shape is None:
        raise MethodError(f"the rank of '{name}' is unknown; run onnx.shape_inference on the model first")
    dtype = np.dtype((value.dtype or ir.DataType.FLOAT).numpy())
    one = [d if isinstance(d, int) else None for k, d in enumerate(shape) if k != axis]
    first = op.Unsqueeze(value, [0]) if axis is None else op.move_axis(value, len(shape), axis, 0)
    if reference is not None:
        behind = (
            op.Unsqueeze(reference, [0]) if axis is None else op.move_axis(reference, len(shape), axis, 0)
        )
        return Feature(name, first, behind, tuple(one), dtype)
    start = np.asarray(starts.get(name, np.zeros((), dtype)), dtype)
    start = start.reshape((1,) * (len(one) + 1 - start.ndim) + start.shape)
    return Feature(name, first, op.initializer(start), tuple(one), dtype)


def _back(op: Emitter, value: ir.Value, axis: int | None, like: ir.Value) -> ir.Value:
    """Undo what was done to a feature's axes."""
    made: ir.Value = value
    if axis is None:
        made = cast("ir.Value", op.Squeeze(value, [0]))
    elif axis:
        made = op.move_axis(value, facts.rank(like) or 0, 0, axis)
    made.shape = None if like.shape is None else like.shape.copy()
    return made

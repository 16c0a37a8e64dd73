"""A model and a plan as one graph, as exported files hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, Arrays
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.names import Names
from onnxplain.backward.program import build
from onnxplain.backward.question import Question
from onnxplain.errors import MethodError
from onnxplain.features.players import Players
from onnxplain.graph import facts
from onnxplain.graph.normalize import Normalized
from onnxplain.loops import Feature, Outside, Result, write_loop, write_points, write_sums
from onnxplain.runtime.front import front
from onnxplain.runtime.layout import Layout
from onnxplain.runtime.plans.plan import Attributes, Plan
from onnxplain.runtime.programs import Form, lower

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
    """

    model: ir.Model
    result: Result
    index: ir.Value | None


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
) -> Planned:
    """Write the graph: what is varied, a loop over the plan's points, and what becomes of their answers.

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
        Points of a block.
    form
        For whom the file is.

    Raises
    ------
    MethodError
        If the plan cannot be written.
    """
    if isinstance(plan.question, (Plan, Attributes)):
        raise MethodError(
            "a method inside another one's points cannot be written into a file; use the Explainer"
        )
    question = replace(question, ask=plan.question, cut=True)
    known = dict(compared.starts) if question.walk.composite.reference else None
    program = build(normal, question, keep=originals, references=known)
    lower(program.model, form)
    layout = replace(layout, axes={**{n: layout.inner.get(n) for n in question.wrt}, **layout.axes})
    predicted = question.target == "predicted" and program.index is not None
    target = next((v for v in program.model.graph.inputs if v.name == program.target), None)
    model = _around(normal, question, None if predicted else target)
    graph = model.graph
    op = Emitter(graph, normal.opset, Names(graph).scope("onnxplain/outside"))
    values = {str(v.name): v for v in graph.inputs} | {str(v.name): v for n in graph for v in n.outputs}
    features = {n: _feature(op, values[n], n, layout.axes[n], compared.starts) for n in question.wrt}
    first = next(iter(features.values())).value
    samples = cast("ir.Value", op.Shape(first, start=0, end=1))
    outside = Outside(op, features, compared.background, compared.players, samples)
    written = write_points(plan.points, outside)
    summed = write_sums(plan.combination, outside, written.count)
    given = {k: v for k, v in values.items() if k not in features}
    if predicted and target is not None:
        shape = samples if question.target_axes == 1 else op.concat([samples, question.target_axes])
        given[program.target] = op.ConstantOfShape(shape, value=ir.tensor(np.array([-1], np.int64)))
    made = write_loop(outside, program, written, summed, layout, given, originals, at_once)
    source = {str(v.name): v for v in normal.model.graph.outputs}
    for name, value in made.originals.items():
        value.name, value.type, value.shape = name, source[name].type, source[name].shape
    if made.result.delta is not None:
        made.result.delta.shape = ir.Shape(["batch"])
    found, errors = (
        {k: _back(op, v, layout.axes[k], values[k]) for k, v in of.items()}
        for of in (made.result.values, made.result.errors)
    )
    return Planned(model, Result(found, made.result.delta, errors), made.index)


def _around(normal: Normalized, question: Question, target: ir.Value | None) -> ir.Model:
    """Return the graph around the loop: the model's inputs, the target, and what computes inner values."""
    source = normal.model
    own = {str(v.name) for v in source.graph.inputs}
    inner = tuple(name for name in question.wrt if name not in own)
    if inner:
        model = front(source, inner)
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
    op: Emitter, value: ir.Value, name: str, axis: int | None, starts: Mapping[str, Array]
) -> Feature:
    """Bring a value's samples to the front."""
    shape = facts.dims(value)
    if shape is None:
        raise MethodError(f"the rank of '{name}' is unknown; run onnx.shape_inference on the model first")
    dtype = np.dtype((value.dtype or ir.DataType.FLOAT).numpy())
    one = [d if isinstance(d, int) else None for k, d in enumerate(shape) if k != axis]
    first = op.Unsqueeze(value, [0]) if axis is None else op.move_axis(value, len(shape), axis, 0)
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

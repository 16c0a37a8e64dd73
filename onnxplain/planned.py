"""A model and a plan as one graph, as exported files hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
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
from onnxplain.runtime.plans.plan import Plan, innermost
from onnxplain.runtime.programs import Form, lower

__all__ = ["write_plan"]


@dataclass(frozen=True)
class Planned:
    """A graph that runs a plan.

    Attributes
    ----------
    model
        Its outputs are still to be set.
    result
        What comes out of the loop.
    """

    model: ir.Model
    result: Result


def write_plan(
    normal: Normalized,
    question: Question,
    plan: Plan,
    layout: Layout,
    originals: Sequence[str],
    starts: Mapping[str, Array],
    *,
    background: Mapping[str, Array] | None = None,
    players: Players | None = None,
    at_once: int = 1,
    form: Form = "portable",
) -> Planned:
    """Write the graph.

    Raises
    ------
    MethodError
        If the plan cannot be written.
    """
    ask = innermost(plan.question)
    if ask is None or isinstance(plan.question, Plan):
        raise MethodError("a plan within a plan cannot be written into a file")
    question = Question(**{**_fields(question), "ask": ask, "cut": True})
    references = {k: v for k, v in starts.items()} if question.walk.composite.reference and ask == question.walk else None
    program = build(normal, question, keep=originals, references=references)
    lower(program.model, form)
    model = _around(normal, question, program.target, {str(v.name): v for v in program.model.graph.inputs})
    graph = model.graph
    taken = Names(graph)
    op = Emitter(graph, normal.opset, taken.scope("onnxplain/outside"))
    values = {str(v.name): v for v in graph.inputs} | {str(v.name): v for n in graph for v in n.outputs}
    features = {}
    for name in question.wrt:
        features[name] = _feature(op, values[name], name, layout.axes.get(name, layout.inner.get(name)), starts)
    first = next(iter(features.values()))
    outside = Outside(op, features, dict(background or {}), players, cast("ir.Value", op.Shape(first.value, start=0, end=1)))
    written = write_points(plan.points, outside)
    summed = write_sums(plan.combination, outside, written.count)
    given = {k: v for k, v in values.items() if k not in features}
    made = write_loop(outside, program, written, summed, _full(layout, question), given, originals, at_once)
    source = {str(v.name): v for v in normal.model.graph.outputs}
    for name, value in made.originals.items():
        value.name, value.type, value.shape = name, source[name].type, source[name].shape
    samples = ir.Shape(["batch"])
    if made.result.delta is not None:
        made.result.delta.shape = samples
    result = Result(
        {k: _back(op, v, layout.axes.get(k, layout.inner.get(k)), len(features[k].shape)) for k, v in made.result.values.items()},
        made.result.delta,
        {k: _back(op, v, layout.axes.get(k, layout.inner.get(k)), len(features[k].shape)) for k, v in made.result.errors.items()},
    )
    return Planned(model, result)


def _fields(question: Question) -> dict[str, Any]:
    return {name: getattr(question, name) for name in question.__dataclass_fields__}


def _full(layout: Layout, question: Question) -> Layout:
    return layout


def _around(normal: Normalized, question: Question, target: str, inputs: Mapping[str, ir.Value]) -> ir.Model:
    """Return the graph around the loop: the model's inputs, the target, and what computes inner values."""
    source = normal.model
    own = {str(v.name) for v in source.graph.inputs}
    inner = tuple(name for name in question.wrt if name not in own)
    if inner:
        model = front(source, inner)
        for node in model.graph:
            node.name = f"{node.name}/before"
            for output in node.outputs:
                if output.name not in inner:
                    output.name = f"{output.name}/before"
        for name in list(model.graph.initializers):
            value = model.graph.initializers.pop(name)
            value.name = f"{name}/before"
            model.graph.register_initializer(value)
        model.graph.outputs.clear()
    else:
        graph = ir.Graph([], [], nodes=[], opset_imports=dict(source.opset_imports), name="explained")
        model = ir.Model(graph, ir_version=source.ir_version)
    there = {str(v.name) for v in model.graph.inputs}
    ordered = []
    for value in source.graph.inputs:
        if value.name in there:
            ordered.append(next(v for v in model.graph.inputs if v.name == value.name))
        else:
            ordered.append(ir.Value(name=value.name, type=value.type, shape=value.shape))
    if target in inputs:
        wanted = inputs[target]
        ordered.append(ir.Value(name=target, type=wanted.type, shape=wanted.shape))
    model.graph.inputs.clear()
    model.graph.inputs.extend(ordered)
    model.graph.name = "explained"
    return model


def _feature(op: Emitter, value: ir.Value, name: str, axis: int | None, starts: Mapping[str, Array]) -> Feature:
    """Bring a value's samples to the front."""
    shape = facts.dims(value)
    if shape is None:
        raise MethodError(f"the rank of '{name}' is unknown; run onnx.shape_inference on the model first")
    dtype = np.dtype((value.dtype or ir.DataType.FLOAT).numpy())
    one = shape if axis is None else [d for k, d in enumerate(shape) if k != axis]
    first = op.Unsqueeze(value, [0]) if axis is None else op.move_axis(value, len(shape), axis, 0)
    start = np.asarray(starts.get(name, np.zeros((), dtype)), dtype)
    start = start.reshape((1,) * (len(one) + 1 - start.ndim) + start.shape)
    sizes = tuple(d if isinstance(d, int) else None for d in one)
    return Feature(name, first, op.initializer(start), sizes, dtype)


def _back(op: Emitter, value: ir.Value, axis: int | None, rank: int) -> ir.Value:
    """Undo what was done to a feature's axes."""
    if axis is None:
        return cast("ir.Value", op.Squeeze(value, [0]))
    return op.move_axis(value, rank + 1, 0, axis)

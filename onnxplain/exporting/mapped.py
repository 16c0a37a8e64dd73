"""A model and a map of values inside it as one graph, as exported files hold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
import onnx_ir as ir

from onnxplain._types import Arrays
from onnxplain.backward.opened import open_model
from onnxplain.backward.picking import pick
from onnxplain.backward.question import Question
from onnxplain.errors import MethodError
from onnxplain.graph import facts
from onnxplain.graph.normalize import Normalized
from onnxplain.maps import Frame, write_map
from onnxplain.methods import Method
from onnxplain.runtime.driver import Driver
from onnxplain.runtime.layout import Layout
from onnxplain.runtime.problem import Problem
from onnxplain.runtime.programs import Programs

__all__ = ["MappedModel", "one_sample", "write_mapped"]


@dataclass(frozen=True)
class MappedModel:
    """A graph that makes a map.

    Attributes
    ----------
    model
        Its outputs are still to be set.
    values
        By feature or layer, laid out as the model has it.
    extras
        Further outputs, by the names that they should have.
    target
        The input that names the target; None where nothing asks for it.
    index
        The target's index, where that is predicted.
    """

    model: ir.Model
    values: Mapping[str, ir.Value]
    extras: Mapping[str, ir.Value]
    target: ir.Value | None
    index: ir.Value | None


def write_mapped(
    normal: Normalized,
    question: Question,
    method: Method,
    layout: Layout,
    originals: Sequence[str],
) -> MappedModel:
    """Write the graph: the model, walks back to values inside, and what the method makes of them.

    Parameters
    ----------
    normal
        The model.
    question
        What is explained.
    method
        One that :func:`onnxplain.maps.can_be_mapped`.
    layout
        Where samples lie.
    originals
        Names of the model's outputs.

    Raises
    ------
    MethodError
        If the method cannot be written for this model.
    NotExplainableError
        If the model has nothing to look at.
    """
    layout = replace(layout, axes={**{n: layout.inner.get(n) for n in question.wrt}, **layout.axes})
    opened = open_model(normal, replace(question, cut=False), originals)
    name = opened.names.free("target")
    with opened.op.arithmetic():
        picked = pick(
            opened.op, opened.like_output(opened.scored), question.output, question.target,
            question.target_axes, question.output_axis, "one", name,
        )  # fmt: skip
    target = next((v for v in opened.model.graph.inputs if v.name == name), None)
    at = partial(one_sample, normal, question, method, layout)
    mapped = write_map(method, Frame(opened.op, layout, at, opened=opened, picked=picked))
    index = picked.index if question.target == "predicted" else None
    return MappedModel(opened.model, mapped.values, mapped.extras, target, index)


def one_sample(
    normal: Normalized, question: Question, method: Method, layout: Layout, length: int | None
) -> Problem:
    """Return one sample, of zeros, in the shape that a file's samples have.

    Raises
    ------
    MethodError
        If that has no fixed lengths, and none stands for them.
    """
    graph = normal.model.graph
    there = {str(v.name): v for v in (*graph.inputs, *(o for node in graph for o in node.outputs))}
    features: Arrays = {}
    for name in question.wrt:
        axis, shape = layout.axes[name], facts.dims(there[name])
        one = [_length(d, length) for k, d in enumerate(shape or ()) if k != axis]
        if shape is None or not all(isinstance(d, int) for d in one):
            spelled = ", ".join(str(d) if isinstance(d, int) else "?" for d in one)
            raise MethodError(
                f"a map inside is laid over '{name}', whose samples have the shape ({spelled}): a file needs "
                "fixed lengths; export the model with these, or use the Explainer"
            )
        features[name] = np.zeros(
            (1, *(d for d in one if isinstance(d, int))), (there[name].dtype or ir.DataType.FLOAT).numpy()
        )
    fixed: Arrays = {}
    for value in graph.inputs:
        if value.name not in features:
            lengths = [_length(d, length or 1) for d in facts.dims(value) or ()]
            fixed[str(value.name)] = np.zeros(
                cast("list[int]", lengths), (value.dtype or ir.DataType.FLOAT).numpy()
            )
    driver = Driver(Programs(normal, "cpu"), question, layout, fixed, lambda ask: 1, method.needs())
    return Problem(driver, features, np.zeros(1, np.int64), np.zeros((1, 1), np.int64), {})


def _length(dim: facts.Dim, instead: int | None) -> int | None:
    return dim if isinstance(dim, int) else instead

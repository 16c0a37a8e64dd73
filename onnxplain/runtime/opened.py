"""The model at the shapes of a call, and which axes of its values are channels and space there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from onnxplain._types import Arrays, Shape
from onnxplain.graph import facts
from onnxplain.graph.shapes import with_all_shapes
from onnxplain.graph.space import Space, spaces
from onnxplain.runtime.layout import Layout
from onnxplain.runtime.problem import Problem
from onnxplain.runtime.programs import Programs

__all__ = ["Opened", "behind", "channel_of", "known_channel", "opened", "opened_at"]


@dataclass(frozen=True, eq=False)
class Opened:
    """The model at the shapes of a call.

    Attributes
    ----------
    graph, values
        With static shapes; its values by name.
    spaces
        Channels and space of values.
    found
        Whatever was found out about it.
    """

    graph: ir.Graph
    values: Mapping[str, ir.Value]
    spaces: Mapping[ir.Value, Space]
    found: dict[object, Any] = field(default_factory=dict)


def opened(problem: Problem) -> Opened:
    """Return the model at the shapes of a problem; found once for the same ones."""
    driver, layout = problem.driver, problem.driver.layout
    shapes: dict[str, Shape] = {}
    for name, array in problem.features.items():
        axis = layout.axes[name]
        shapes[name] = array.shape[1:]
        if axis is not None:
            shapes[name] = (*array.shape[1 : axis + 1], layout.exact or 1, *array.shape[axis + 1 :])
    return _opened(driver.programs, layout, shapes | _once(driver.fixed, layout))


def opened_at(programs: Programs, layout: Layout, arrays: Arrays) -> Opened:
    """Return the model at the shapes of all inputs of a call; found once for the same ones."""
    return _opened(programs, layout, _once(arrays, layout))


def channel_of(problem: Problem, name: str) -> int | None:
    """Return the axis of a feature's channels; None where the graph does not tell it."""
    return known_channel(opened(problem), name, problem.driver.layout.axes[name])


def known_channel(model: Opened, name: str, samples: int | None) -> int | None:
    """Return the axis of a value's channels once its samples lie first; None where the graph tells none.

    Parameters
    ----------
    model
        At the shapes of a call.
    name
        Of the value.
    samples
        Its axis of samples; None where it has none.
    """
    value = model.values.get(name)
    space = None if value is None else model.spaces.get(value)
    if value is None or space is None or space.channel is None:
        return None
    told = 1 + len(space.axes) + (samples is not None)  # whether each axis is told of
    return behind(space.channel, samples) if space.axes and facts.rank(value) == told else None


def behind(axis: int, samples: int | None) -> int:
    """Return where an axis of a value is once its samples lie first."""
    return axis + 1 if samples is None or axis < samples else axis


def _once(arrays: Arrays, layout: Layout) -> dict[str, Shape]:
    """Return the shapes of inputs for as many samples as run at once."""
    once = layout.exact or 1
    return {
        name: tuple(once if k == layout.axes[name] else d for k, d in enumerate(array.shape))
        for name, array in arrays.items()
    }


def _opened(programs: Programs, layout: Layout, shapes: Mapping[str, Shape]) -> Opened:
    samples = dict(layout.inner) | dict(layout.axes)
    key = "opened", tuple(sorted(shapes.items())), tuple(sorted(samples.items(), key=str))

    def find() -> Opened:
        graph = with_all_shapes(programs.source.model, shapes).graph
        values = {str(v.name): v for v in (*graph.inputs, *(o for node in graph for o in node.outputs))}
        return Opened(graph, values, spaces(graph, samples))

    return programs.found(key, find)

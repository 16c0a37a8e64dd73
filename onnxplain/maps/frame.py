"""What those who write maps of values inside a model write with: a model opened once, asked often."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import onnx_ir as ir

from onnxplain.backward.composites.composite import Composite
from onnxplain.backward.difference.second_forward import copy_forward
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import backward
from onnxplain.backward.opened import Opened
from onnxplain.backward.picking import Picked
from onnxplain.backward.question import find_value
from onnxplain.errors import MethodError
from onnxplain.graph import facts
from onnxplain.runtime.layout import Layout
from onnxplain.runtime.problem import Problem

__all__ = ["Frame", "Mapped", "Place"]


@dataclass(frozen=True)
class Place:
    """A graph into which a map is written.

    Attributes
    ----------
    op
        Writes into it.
    layout
        Where samples lie.
    at
        Returns one sample in the shape of the file's, in which lengths that only a run tells are this; for
        None, there must be none in what is explained.
    known
        Values of the model by name, as far as they bear others in the graph.
    """

    op: Emitter
    layout: Layout
    at: Callable[[int | None], Problem]
    known: Mapping[str, ir.Value] = field(default_factory=dict)

    @cached_property
    def problem(self) -> Problem:
        """One sample in the shape of the file's, whose lengths are known."""
        return self.at(None)

    def value(self, name: str) -> ir.Value:
        """Return a value of the model."""
        return self.known[name] if name in self.known else find_value(self.op.graph, name)

    def axis_of(self, name: str) -> int | None:
        """Return where samples lie in a value, None where it is one sample's.

        Raises
        ------
        MethodError
            If that is not known, and a file may be given several.
        """
        layout, value = self.layout, self.value(name)
        if name in layout.axes:
            return layout.axes[name]
        axis = layout.axis_of(name, facts.dims(value))
        if axis is None and not (layout.whole or (layout.exact == 1 and layout.alone is None)):
            raise MethodError(
                f"it is not known along which axis of '{name}' the samples lie, and a file may get several"
                "; fix the batch to 1 when exporting the model, look elsewhere, or use the Explainer"
            )
        return axis

    def first(self, value: ir.Value, axis: int | None) -> ir.Value:
        """Bring samples to the front."""
        if axis is None:
            return cast("ir.Value", self.op.Unsqueeze(value, [0]))
        rank = facts.rank(value)
        if rank is None:
            raise MethodError(f"the rank of '{value.name}' is unknown; run onnx.shape_inference on the model")
        return self.op.move_axis(value, rank, axis, 0)

    def back(self, value: ir.Value, name: str, rank: int) -> ir.Value:
        """Undo :meth:`first` for what is laid out like a feature, of this rank, samples first."""
        axis, made = self.axis_of(name), value
        if axis is None:
            made = cast("ir.Value", self.op.Squeeze(value, [0]))
        elif axis:
            made = self.op.move_axis(value, rank, 0, axis)
        return self.op.annotate(made, self.value(name))

    def kind_of(self, name: str) -> int:
        """Return the dtype of a feature's attributions."""
        value = self.value(name)
        return int(value.dtype if value.dtype in facts.FLOATS else ir.DataType.FLOAT)


@dataclass(frozen=True, kw_only=True)
class Frame(Place):
    """A model in which a map is written.

    Attributes
    ----------
    opened
        The graph.
    picked
        The explained scores.
    """

    opened: Opened
    picked: Picked

    def gradients(self, values: Sequence[ir.Value]) -> list[ir.Value]:
        """Write the score's gradients at values, each shaped like its value."""
        seed = self.opened.like_scored(self.picked.seed)
        found = backward(self.op, {self.opened.scored: seed}, values)
        return [found[v] for v in values]

    def walked(self, composite: Composite, values: Sequence[ir.Value]) -> list[ir.Value]:
        """Write a walk back by other rules, from 1 at the score."""
        table = composite.resolve(self.op.graph, [self.opened.scored], values)
        seed = self.opened.like_scored(self.picked.seed)
        found = backward(self.op, {self.opened.scored: seed}, values, table)
        return [found[v] for v in values]

    def gradient_beside(self, value: ir.Value, instead: ir.Value) -> ir.Value:
        """Write the score's gradient at another value in the place of one inside.

        Raises
        ------
        MethodError
            If a body of control flow lies behind it.
        """
        pairs = {value: instead}
        if copy_forward(self.op, pairs, alone=True):
            raise MethodError(
                f"what lies behind '{value.name}' runs in a loop or a branch, which a file asks once; "
                "use the Explainer"
            )
        scored = pairs[self.opened.scored]
        seed = self.opened.like_scored(self.picked.seed)
        return backward(self.op, {scored: seed}, [instead])[instead]


@dataclass(frozen=True)
class Mapped:
    """What was written.

    Attributes
    ----------
    values
        By feature or layer, laid out as the model has it.
    extras
        Further outputs, by name.
    """

    values: Mapping[str, ir.Value]
    extras: Mapping[str, Any] = field(default_factory=dict)

"""How a rule sees a node: typed attributes, and inputs that can be swapped without touching the graph."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.errors import UnsupportedOperatorError
from onnxplain.graph import facts

__all__ = ["NodeView"]


@dataclass(frozen=True, eq=False)
class NodeView:
    """A node as a backward rule sees it.

    Attributes
    ----------
    source
        The node of the graph.
    inputs, outputs
        Its values, or stand-ins for them (a modified weight, say).  Omitted inputs are None.
    """

    source: ir.Node
    inputs: tuple[ir.Value | None, ...]
    outputs: tuple[ir.Value, ...]

    @classmethod
    def of(cls, node: ir.Node) -> NodeView:
        """View a node as it is."""
        return cls(node, tuple(node.inputs), tuple(node.outputs))

    @property
    def op_type(self) -> builtins.str:
        """The operator's name."""
        return self.source.op_type

    @property
    def label(self) -> builtins.str:
        """The node as error messages name it."""
        return facts.node_label(self.source)

    @property
    def x(self) -> ir.Value:
        """The first input."""
        return self.input(0)

    @property
    def y(self) -> ir.Value:
        """The first output."""
        return self.outputs[0]

    def input(self, index: builtins.int) -> ir.Value:
        """Return an input that must be there."""
        value = self.inputs[index]
        assert value is not None, f"{self.label}: input {index} is missing"
        return value

    def optional(self, index: builtins.int) -> ir.Value | None:
        """Return an input, or None if the node leaves it out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def known(self, index: builtins.int, what: builtins.str) -> Array:
        """Return the content of an input that the gradient must know before running."""
        found = facts.constant(self.input(index))
        if found is None:
            raise UnsupportedOperatorError(
                f"{self.label}: {what} must be constant for its gradient; export the model with it fixed"
            )
        return found

    def with_inputs(self, *inputs: ir.Value | None, outputs: Sequence[ir.Value] | None = None) -> NodeView:
        """Return the same node with other inputs (and outputs)."""
        return replace(self, inputs=inputs, outputs=self.outputs if outputs is None else tuple(outputs))

    def int(self, name: builtins.str, default: builtins.int) -> builtins.int:
        """Return an integer attribute."""
        return cast("builtins.int", facts.attr(self.source, name, default))

    def float(self, name: builtins.str, default: builtins.float) -> builtins.float:
        """Return a float attribute."""
        return cast("builtins.float", facts.attr(self.source, name, default))

    def str(self, name: builtins.str, default: builtins.str) -> builtins.str:
        """Return a string attribute."""
        return cast("builtins.str", facts.attr(self.source, name, default))

    def ints(self, name: builtins.str, default: Sequence[builtins.int]) -> tuple[builtins.int, ...]:
        """Return an attribute that is a list of integers."""
        return tuple(cast("Sequence[builtins.int]", facts.attr(self.source, name, default)))

    def optional_ints(self, name: builtins.str) -> tuple[builtins.int, ...] | None:
        """Return a list of integers, or None if the node does not carry it."""
        return self.ints(name, ()) if name in self.source.attributes else None

    def rank(self, index: builtins.int = 0) -> builtins.int:
        """Return the number of axes of an input."""
        value = self.input(index)
        found = facts.rank(value)
        if found is None:
            raise UnsupportedOperatorError(
                f"{self.label}: the number of axes of '{value.name}' is unknown, and its gradient needs it; "
                "run onnx.shape_inference on the model, or export it again with static ranks"
            )
        return found

    def axis(self, name: builtins.str, default: builtins.int) -> builtins.int:
        """Return an axis attribute, counted from the front."""
        found = self.int(name, default)
        return found if found >= 0 else found % max(self.rank(), 1)

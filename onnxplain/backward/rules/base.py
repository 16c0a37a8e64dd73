"""What every modified rule is: a name, and how it binds to a node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import BackwardFunction, Entry, lookup
from onnxplain.backward.view import NodeView

__all__ = ["GRADIENT", "Binding", "Gradient", "Pass", "Rule", "propagate"]


@dataclass(frozen=True)
class Binding:
    """Where a rule is to be used.

    Attributes
    ----------
    node
        The node.
    active
        Positions of the inputs that lie on the path, among those that the operator's category speaks of.
    """

    node: ir.Node
    active: tuple[int, ...]


class Rule(Protocol):
    """A modified backward rule: hashable data that binds to nodes."""

    @property
    def name(self) -> str:
        """Name shown in the rule table."""

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Return what to run in place of the node's gradient (None: the gradient itself).

        Raises
        ------
        UnsupportedRuleError
            If the rule makes no sense for the node.
        """


def propagate(op: Emitter, node: NodeView, *gradients: Any) -> Sequence[Entry]:
    """Run a node's own gradient function."""
    rule = lookup(node)
    assert rule is not None
    assert rule.vjp is not None
    return rule.vjp(op, node, *gradients)


@dataclass(frozen=True)
class Gradient:
    """The ordinary gradient; for operators that move values it is also what every relevance rule does."""

    name: str = "gradient"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Keep the node's gradient."""
        return None


@dataclass(frozen=True)
class Pass:
    """Give the output's relevance to the input unchanged: ``R_x = R_y``."""

    name: str = "pass"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Pass to the active input; several share evenly."""
        active = set(binding.active or (0,))

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
            relevance = gradients[0]
            part = relevance if len(active) == 1 else relevance / len(active)
            return [part if k in active else None for k in range(len(node.inputs))]

        return function


GRADIENT = Gradient()

"""RevealCancel: DeepLIFT with one multiplier for what raises a value and one for what lowers it.

How values are taken apart is in :mod:`onnxplain.backward.difference.pairs`, and how pairs of multipliers go
through operators in :mod:`onnxplain.backward.difference.forms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import onnx_ir as ir

from onnxplain.backward.difference.deeplift import Rescale
from onnxplain.backward.difference.forms import FORMS, Nonlinear
from onnxplain.backward.difference.pairs import Form, Other
from onnxplain.backward.emitter import Emitter, Rules
from onnxplain.backward.engine import backward
from onnxplain.backward.registry import BackwardFunction
from onnxplain.backward.rules.base import Binding, Rule
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts

__all__ = ["RevealCancel", "Signed", "WholeNorm"]


@dataclass(frozen=True)
class Signed:
    """Walk pairs through what is linear; elsewhere take the half that fits, and go by another rule.

    Parameters
    ----------
    rule
        What single multipliers go by.
    """

    rule: Rule

    @property
    def name(self) -> str:
        """Name of the rule for single multipliers."""
        return self.rule.name

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Choose the form for a node.

        Raises
        ------
        UnsupportedRuleError
            If the rule for single multipliers cannot be bound.
        """
        return _form(binding) or Other(self.rule.bind(binding))


class Resolves(Protocol):
    """A composite, for what it is needed here."""

    def resolve(self, graph: ir.Graph, outputs: Sequence[ir.Value], wrt: Sequence[ir.Value]) -> Rules:
        """Assign a rule to every node between ``outputs`` and ``wrt``."""


@dataclass(frozen=True)
class WholeNorm:
    """Normalisations that are written out: one multiplier, by the sign, and single ones inside.

    However a normalisation is written, single multipliers come out the same; parts inside would not.

    Parameters
    ----------
    inside
        The composite of the rules for single multipliers.
    otherwise
        The rule for other nodes.
    """

    inside: Resolves
    otherwise: Rule
    takes_written_norms: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """Name of the rule for single multipliers."""
        return self.otherwise.name

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Choose the form for a node."""
        norm, graph = binding.norm, binding.node.graph
        if norm is None:
            return self.otherwise.bind(binding)
        assert isinstance(graph, ir.Graph)
        rules = self.inside.resolve(graph, [binding.node.outputs[0]], [norm.source])

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Any:
            return backward(op, {node.y: gradients[0]}, [norm.source], rules)

        return Other(function, mixes=True)


@dataclass(frozen=True)
class RevealCancel:
    """The RevealCancel rule: ``m_x+ = m_y+ D_y+ / D_x+``, and likewise for the negative parts.

    Parameters
    ----------
    eps
        Of the Rescale rule, by which operators of several values go.
    """

    eps: float | None = None
    name: str = "reveal_cancel"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient.

        Raises
        ------
        UnsupportedRuleError
            If the node is no function of one element and the Rescale rule has no form for it.
        """
        node, active = binding.node, binding.active
        if binding.source is not None:
            return Nonlinear(binding.source, None)
        Rescale(self.eps).bind(binding)  # refuses what is elementwise by name only
        x = node.inputs[active[0]] if len(active) == 1 else None
        same = x is not None and facts.same_shape(facts.dims(x), facts.dims(node.outputs[0]))
        if x is None or not same or node.op_type == "Neg":
            return Signed(Rescale(self.eps)).bind(binding)
        return Nonlinear(x, active[0])


def _form(binding: Binding) -> Form | None:
    """Return how pairs go through an operator that is linear in one value, or adds several up."""
    node = binding.node
    if binding.source is not None or facts.GRADIENT_KEY in node.metadata_props:
        return None
    choose = FORMS.get(node.op_type)
    return None if choose is None else choose(node, binding.active)

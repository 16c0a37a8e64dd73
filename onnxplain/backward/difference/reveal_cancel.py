"""RevealCancel: DeepLIFT with one multiplier for what raises a value and one for what lowers it.

How values are taken apart, and how pairs of multipliers go through operators, is in
:mod:`onnxplain.backward.difference.parts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import onnx_ir as ir

from onnxplain.backward.difference.deeplift import Rescale
from onnxplain.backward.difference.parts import (
    FORM,
    LAYERS,
    MOVERS,
    POSITIVE,
    Form,
    Layer,
    Nonlinear,
    Other,
    Positive,
    Scaled,
    Total,
)
from onnxplain.backward.difference.reference_input import reference_of
from onnxplain.backward.difference.second_forward import is_boundary
from onnxplain.backward.emitter import Emitter, Rules
from onnxplain.backward.engine import backward
from onnxplain.backward.registry import BackwardFunction, Category, lookup
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
        form = _linear_form(binding) or Other(self.rule.bind(binding))
        binding.node.meta[FORM] = binding.node, form
        return form


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
        otherwise = Signed(Rescale(self.eps))
        form: Form
        if binding.source is not None:
            form = Nonlinear(binding.source, None)
        else:
            Rescale(self.eps).bind(binding)  # refuses what is elementwise by name only
            x = node.inputs[active[0]] if len(active) == 1 else None
            same = x is not None and facts.same_shape(facts.dims(x), facts.dims(node.outputs[0]))
            if x is None or not same or node.op_type == "Neg":
                return otherwise.bind(binding)
            form = Nonlinear(x, active[0])
        node.meta[FORM] = node, form
        return form


def _linear_form(binding: Binding) -> Form | None:
    """Return how pairs go through an operator that is linear in one value, or adds several up."""
    node, active = binding.node, binding.active
    row = lookup(node)
    assert row is not None
    if binding.source is not None or facts.GRADIENT_KEY in node.metadata_props:
        return None
    op_type = node.op_type
    if op_type in LAYERS and len(active) == 1 and len([v for v in node.inputs[:2] if v is not None]) == 2:
        other = 1 - active[0]
        rest = [v for v in (node.inputs[other], *node.inputs[2:]) if v is not None]
        if all(facts.is_constant(v) for v in rest) and (op_type != "Einsum" or len(node.inputs) == 2):
            return Layer(active[0], other)
    if op_type in POSITIVE and active == (0,):
        return Positive()
    if row.category is Category.SUM and len(active) > 1:
        return Total(active)
    if len(active) != 1:
        return None
    if op_type in ("Add", "Sum") or (op_type == "Sub" and active == (0,)):
        return Scaled(active[0])
    if op_type in ("Sub", "Neg"):
        return Scaled(active[0], _minus_one)
    if op_type == "Mul":
        return Scaled(active[0], _other_operand)
    if op_type == "Div" and active == (0,):
        return Scaled(0, _inverse)
    if op_type in MOVERS and active == (0,) and not is_boundary(node):
        return Scaled(0, moves=True)
    return None


def _minus_one(op: Emitter, node: ir.Node | NodeView) -> Any:
    return op.cast_like(op.const(np.float32(-1.0)), node.outputs[0])


def _other_operand(op: Emitter, node: ir.Node | NodeView) -> Any:
    a, b = node.inputs
    assert a is not None
    assert b is not None
    return b if reference_of(op, a) is not a else a


def _inverse(op: Emitter, node: ir.Node | NodeView) -> Any:
    return op.Reciprocal(node.inputs[1])

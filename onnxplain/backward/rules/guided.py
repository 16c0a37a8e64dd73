"""Guided backpropagation and DeconvNet: what they do at rectifiers.

At ``y = relu(x)`` with incoming gradient g:

* gradient: ``g [x > 0]``
* guided backpropagation (Springenberg et al. 2015): ``max(g, 0) [x > 0]``
* DeconvNet (Zeiler and Fergus 2014): ``max(g, 0)``

Generalised to the other rectifier-like activations f: guided is ``max(g, 0) f'(x)``, DeconvNet
``max(g, 0)``.  Those that an exporter wrote out are found by their form (:func:`is_rectifier`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import BackwardFunction
from onnxplain.backward.rules.base import Binding, propagate
from onnxplain.backward.rules.pieces import interior, interior_gradient, multiple_of
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts
from onnxplain.graph.traits import Is, operators

__all__ = ["RECTIFIERS", "Deconvolution", "Guided", "cuts_at_zero", "is_rectifier"]

#: Activations that let large inputs through and hold small ones back.
RECTIFIERS = tuple(sorted(operators(Is.RECTIFIER)))


#: Functions that rise from a floor to a ceiling, as the factor of a value in its rectifier does.
_STEPS = operators(Is.BOUNDED) - {"Atan", "Softsign"}  # in no activation in use


def is_rectifier(node: ir.Node, source: ir.Value) -> bool:
    """Tell whether a piece lets large values through and holds small ones back.

    It does if it is a product of its source with a step of it (SiLU, GELU, HardSwish, Mish), or the larger of
    its source and a fraction of it, or a choice between these, or a sum of ReLUs of both signs (LeakyReLU).
    """
    inside = interior(node, source)
    if node.op_type == "Mul":
        return any(n.op_type in _STEPS for n in inside) and _scales(node, source)
    if node.op_type in ("Add", "Sub"):
        return _is_leaky_sum(node, source)
    return node.op_type in ("Max", "Where") and all(
        n is node or n.op_type in ("Mul", "Greater", "GreaterOrEqual", "Less", "LessOrEqual") for n in inside
    )


def _is_leaky_sum(node: ir.Node, source: ir.Value) -> bool:
    """Tell ``relu(x) - a relu(-x)`` with 0 <= a < 1, times whatever is positive."""
    slopes = {1: 0.0, -1: 0.0}
    for k, value in enumerate(node.inputs):
        rectified, factor = multiple_of(value)
        relu = None if rectified is None else rectified.producer()
        if relu is None or relu.op_type != "Relu" or factor.size != 1:
            return False
        x, side = multiple_of(relu.inputs[0])
        if x is not source or side.size != 1 or side.item() == 0:
            return False
        minus = -1 if node.op_type == "Sub" and k == 1 else 1
        slopes[int(np.sign(side.item()))] += minus * float(factor.item()) * float(side.item())
    return slopes[1] > slopes[-1] >= 0


def cuts_at_zero(node: ir.Node) -> bool:
    """Tell a range of quantised values that begins at their zero point: a ReLU that quantisation absorbed."""
    low = facts.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    shifted = None if node.inputs[0] is None else node.inputs[0].producer()
    zero = facts.constant(shifted.inputs[1]) if shifted is not None and shifted.op_type == "Add" else None
    return low is not None and bool(np.all((0 if zero is None else zero) == low))


def _scales(node: ir.Node, source: ir.Value) -> bool:
    """Tell whether one factor of a product is its source, perhaps times a constant."""
    for value in node.inputs:
        made_by = None if value is None else value.producer()
        if value is source:
            return True
        if (
            made_by is not None
            and made_by.op_type in ("Mul", "Div")
            and any(v is source for v in made_by.inputs)
        ):
            return any(facts.is_constant(v) for v in made_by.inputs)
    return False


def _argument(binding: Binding) -> tuple[int, ...]:
    """Return the positions of an activation's argument: slopes and bounds get nothing."""
    return binding.active if binding.node.op_type in ("Max", "Min") else (0,)


@dataclass(frozen=True)
class Guided:
    """Only positive gradients enter the activation's derivative."""

    name: str = "guided"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient."""
        argument = _argument(binding)

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Any:
            positive = op.Relu(gradients[0])
            if binding.source is not None:
                return {binding.source: interior_gradient(op, node.source, binding.source, positive)}
            entries = propagate(op, node, positive)
            return [entry if k in argument else None for k, entry in enumerate(entries)]

        return function


@dataclass(frozen=True)
class Deconvolution:
    """Only positive gradients pass, whatever the activation was."""

    name: str = "deconvolution"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient."""
        argument = _argument(binding)

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Any:
            if binding.source is not None:
                return {binding.source: op.Relu(gradients[0])}
            return [
                (lambda: op.Relu(gradients[0])) if k in argument else None for k in range(len(node.inputs))
            ]

        return function

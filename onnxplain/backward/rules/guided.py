"""Guided backpropagation and DeconvNet: what they do at rectifiers.

At ``y = relu(x)`` with incoming gradient g:

* gradient: ``g [x > 0]``
* guided backpropagation (Springenberg et al. 2015): ``max(g, 0) [x > 0]``
* DeconvNet (Zeiler and Fergus 2014): ``max(g, 0)``

Generalised to the other rectifier-like activations f: guided is ``max(g, 0) f'(x)``, DeconvNet
``max(g, 0)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import BackwardFunction, Entry
from onnxplain.backward.rules.base import Binding, propagate
from onnxplain.backward.view import NodeView

__all__ = ["RECTIFIERS", "BetaSmooth", "Deconvolution", "Guided"]

#: Activations that let large inputs through and hold small ones back.
RECTIFIERS = (
    "Relu", "LeakyRelu", "PRelu", "ThresholdedRelu", "Elu", "Celu", "Selu", "Gelu", "Softplus", "Clip",
    "HardSwish", "Swish", "Mish",
)  # fmt: skip


@dataclass(frozen=True)
class Guided:
    """Only positive gradients enter the activation's derivative."""

    name: str = "guided"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient."""

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
            return [*propagate(op, node, op.Relu(gradients[0]))[:1]]

        return function


@dataclass(frozen=True)
class Deconvolution:
    """Only positive gradients pass, whatever the activation was."""

    name: str = "deconvolution"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient."""

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
            return (lambda: op.Relu(gradients[0]),)

        return function


@dataclass(frozen=True)
class BetaSmooth:
    """The derivative of softplus in place of ReLU's: ``g sigmoid(beta x)`` (Dombrowski et al. 2019).

    Parameters
    ----------
    beta_smooth
        The larger, the closer to ReLU.
    """

    beta_smooth: float = 10.0
    name: str = "beta_smooth"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient."""

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
            return (lambda: op.Mul(gradients[0], op.Sigmoid(op.Mul(node.x, self.beta_smooth))),)

        return function

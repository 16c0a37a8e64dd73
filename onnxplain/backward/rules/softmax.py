"""What softmax does with relevance in attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import BackwardFunction, Entry
from onnxplain.backward.rules.base import Binding
from onnxplain.backward.view import NodeView
from onnxplain.errors import UnsupportedRuleError
from onnxplain.graph import facts

__all__ = ["SoftmaxTaylor"]


@dataclass(frozen=True)
class SoftmaxTaylor:
    """Linearise softmax (AttnLRP, Achtibat et al. 2024): ``R_i = x_i (R_y,i - y_i sum_j R_y,j)``.

    What the linearisation's constant term stands for is kept back, so that relevance is not conserved here.
    Entries that a mask set to minus infinity get nothing.
    """

    name: str = "softmax"
    proportional = True

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient.

        Raises
        ------
        UnsupportedRuleError
            If the node is no Softmax.
        """
        if binding.node.op_type != "Softmax":
            raise UnsupportedRuleError(
                f"rule '{self.name}' is for Softmax, which {facts.node_label(binding.node)} is not; give it "
                "another rule in the composite"
            )

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
            relevance, axis = gradients[0], node.axis("axis", -1)

            def entry() -> Any:
                kept = relevance - node.y * op.sum(relevance, [axis], keepdims=True)
                masked = op.Equal(node.y, 0.0)
                return op.Where(masked, 0.0, op.Mul(op.Where(masked, 0.0, node.x), kept))

            return (entry,)

        return function

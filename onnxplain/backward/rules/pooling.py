"""Max pooling as a soft choice: relevance in proportion to the activations of the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import BackwardFunction, Entry, written
from onnxplain.backward.rules.base import Binding, propagate
from onnxplain.backward.rules.stabilizer import Stabilize, share
from onnxplain.backward.view import NodeView
from onnxplain.errors import UnsupportedRuleError
from onnxplain.graph import facts

__all__ = ["ProportionalPool"]

#: Opset from which on AveragePool has dilations.
_DILATED_SINCE = 19

_AVERAGE = {"MaxPool": "AveragePool", "GlobalMaxPool": "GlobalAveragePool"}


@dataclass(frozen=True)
class ProportionalPool:
    """Treat max pooling as a sum: ``R_j = sum_k x_j+ / (sum_j x_j+) R_k`` over the windows k.

    The alternative to giving everything to the winner (Montavon et al. 2019).  A window without a positive
    value gives nothing.
    """

    stabilizer: Stabilize = 1e-6
    name: str = "proportional"
    proportional = True

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient.

        Raises
        ------
        UnsupportedRuleError
            If the node is no max pooling.
        """
        if binding.node.op_type not in _AVERAGE:
            raise UnsupportedRuleError(
                f"rule '{self.name}' is for MaxPool and GlobalMaxPool, and {facts.node_label(binding.node)} "
                "is neither; give it another rule in the composite"
            )

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
            def entry() -> Any:
                x = node.x if op.never_negative(node.x) else op.Relu(node.x)
                op_type = _AVERAGE[node.op_type]
                left_out = ["storage_order"]
                if op.opset < _DILATED_SINCE:
                    left_out.append("dilations")
                    if any(d != 1 for d in node.ints("dilations", ())):
                        raise UnsupportedRuleError(
                            f"rule '{self.name}' needs opset {_DILATED_SINCE} for {node.label}, which is "
                            "dilated; raise the model's opset (onnx.version_converter), or give all to the "
                            "winner (winner_take_all=True)"
                        )
                kept = [a for name, a in node.source.attributes.items() if name not in left_out]
                average = ir.Node("", op_type, [x], kept, name=f"{node.source.name}/average")
                view = NodeView(average, (x,), (op.annotate(op.clone(average, [x])[0], node.y),))
                back = written(propagate(op, view, share(op, gradients[0], view.y, self.stabilizer, 1))[0])
                average.replace_input_with(0, None)  # it only says how to pool
                return op.Mul(x, back)

            return (entry,)

        return function

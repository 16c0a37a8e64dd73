"""Mark the operators whose values jump, for walks that follow differences instead of gradients.

A step function has no gradient, and truth values have none either; but what they are at an input and at a
reference differs, and a walk that compares the two follows that.  The marks are names of gradients
(:data:`onnxplain.graph.facts.GRADIENT_KEY`), in place of those of the operators.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.passes.node_pass import NodePass
from onnxplain.graph.patterns.measured import MEASURED, measured_ranges
from onnxplain.graph.traits import Is, operators

__all__ = ["MARKS", "STEPS", "MarkSteps"]

#: By operator: the gradient that it is given.
STEPS: dict[str, str] = {
    **dict.fromkeys(("Ceil", "Floor", "Round", "Sign"), "step"),
    "Hardmax": "hardmax",
    **dict.fromkeys(sorted(operators(Is.TRUTH | Is.EXACT)), "truth"),
    "Cast": "number",
}
#: All marks that are for walks along differences alone.
MARKS = frozenset({*STEPS.values(), MEASURED, "switch"})
#: What a range is measured by (see :mod:`onnxplain.graph.quantized.arithmetic`).
_MEASURES = frozenset({"ReduceMax", "ReduceMin"})


class MarkSteps(NodePass):
    """Mark steps, truth values, their casts, and integers whose range was measured.

    The latter are compared in the same units at input and reference
    (:mod:`onnxplain.graph.patterns.measured`); where they cannot be, the range is no constant any more, and
    the walk goes on through its extremes.
    """

    operators = frozenset({*STEPS, *_MEASURES})

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Go through the model's graph and all bodies."""
        self._held: set[ir.Value] = set()
        for graph in (model.graph, *model.graph.subgraphs()):
            for one in measured_ranges(graph):
                self._held.add(one.x)
                for node in one.centred:
                    node.metadata_props[facts.GRADIENT_KEY] = MEASURED
        return super().call(model)

    def rewrite(self, graph: ir.Graph, node: ir.Node, opset: int) -> bool:
        """Mark a node, unless a pass has done so."""
        held = node.metadata_props.get(facts.GRADIENT_KEY)
        if node.op_type in _MEASURES:
            if held == "stop" and node.inputs[0] not in self._held:
                del node.metadata_props[facts.GRADIENT_KEY]
                return True
            return False
        if held is not None or (node.op_type == "Cast" and _is_plain(node)):
            return False
        node.metadata_props[facts.GRADIENT_KEY] = STEPS[node.op_type]
        return True


def _is_plain(cast: ir.Node) -> bool:
    """Tell a cast between floating-point types, which needs no mark."""
    x, y = cast.inputs[0], cast.outputs[0]
    return x is None or (facts.is_float(x) and facts.is_float(y))

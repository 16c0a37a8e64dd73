"""Write the masks of rectifiers so that onnxruntime's CPU kernels keep them in their blocked layout.

Cases: ``Where(Greater(y, c), g, 0)`` and ``Where(Less(y, c), g, 0)`` that a walk back wrote (never the
model's own), with a constant scalar c, float32, four axes (what 2-D convolutions make), and a g that has no
pole: 0 times infinity is no 0.  The mask becomes ``HardSigmoid(y)`` with a slope so steep that it is 0 or
1, and selecting a multiplication: ``g * HardSigmoid(y)``.  onnxruntime runs both on all threads, and on the
blocked values between convolutions as they are; Where runs on one thread, and needs the values laid out anew.

The slope is a power of two, so ``slope * y - slope * c`` has the exact sign of ``y - c``.  One difference
remains: for c = 0, y below 2^-127 (a denormal number) is let through in part.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.poles import has_pole

__all__ = ["STEEP", "MaskByHardSigmoid"]

#: Slopes of masks are at least so steep.
STEEP = 2.0**100
_AT_ZERO, _ELSEWHERE = 2.0**127, STEEP
_LARGEST = 2.0**24  # beyond, slope * c leaves float32
_RANK = 4


class MaskByHardSigmoid(ir.passes.InPlacePass):
    """Lower for the CPU; CUDA runs Where at the memory's speed."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified = False
        poles: dict[ir.Value, bool] = {}
        for node in list(model.graph):
            if node.op_type == "Where" and facts.is_written(node):
                modified |= self._lower(model.graph, node, poles)
        return ir.passes.PassResult(model, modified)

    @staticmethod
    def _lower(graph: ir.Graph, where: ir.Node, poles: dict[ir.Value, bool]) -> bool:
        condition, kept, other = where.inputs
        test = condition.producer() if condition is not None else None
        zero = facts.constant(other)
        if test is None or kept is None or zero is None or zero.size != 1 or zero.item() != 0:
            return False
        y, bound = test.inputs[0], facts.constant(test.inputs[1]) if len(test.inputs) > 1 else None
        if y is None or bound is None or bound.size != 1 or test.op_type not in ("Greater", "Less"):
            return False
        c = float(bound.item())
        if (
            y.dtype != ir.DataType.FLOAT
            or not abs(c) <= _LARGEST
            or {facts.rank(y), facts.rank(kept)} != {_RANK}
            or has_pole(kept, poles)
        ):
            return False
        slope = (_AT_ZERO if c == 0 else _ELSEWHERE) * (1 if test.op_type == "Greater" else -1)
        name = where.outputs[0].name
        mask = ir.node("HardSigmoid", [y], {"alpha": slope, "beta": -slope * c}, name=f"{name}/mask")
        made = ir.node("Mul", [kept, mask.outputs[0]], name=where.name)
        mask.outputs[0].name, mask.outputs[0].type, mask.outputs[0].shape = f"{name}/mask", y.type, y.shape
        new, old = made.outputs[0], where.outputs[0]
        new.name, new.type, new.shape = old.name, old.type, old.shape
        for node in (mask, made):
            node.metadata_props[facts.WRITTEN_KEY] = ""
        ir.convenience.replace_nodes_and_values(graph, where, [where], [mask, made], [old], [new])
        if not test.outputs[0].uses() and not test.outputs[0].is_graph_output():
            graph.remove(test, safe=True)
        return True

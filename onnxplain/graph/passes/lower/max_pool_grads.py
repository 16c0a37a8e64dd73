"""Write the walk back through max pooling as one of our own operators, ``ai.onnxplain::MaxPoolGrad``.

Cases: two spatial axes, float32, pads that are known.  A walk back writes some thirty nodes, the last of
which tells what they do together, and with which values.  That is not believed as it stands: the nodes must
need these values and constants alone.
"""

from __future__ import annotations

import json

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from onnxplain.graph import facts
from onnxplain.graph.passes.lower.matching import DOMAIN

__all__ = ["MaxPoolGrads"]

_AXES = 2


class MaxPoolGrads(ir.passes.InPlacePass):
    """Lower for where the library of operators is loaded."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        told = [n for n in model.graph if n.metadata_props.get(facts.WRITTEN_KEY, "").startswith("{")]
        modified = False
        if told:
            values = {v.name: v for node in model.graph for v in node.outputs}
            values |= {v.name: v for v in model.graph.inputs}
            for node in reversed(told):
                modified |= _replace(model.graph, node, values)
        if modified:
            model.graph.opset_imports[DOMAIN] = 1
            RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, modified)


def _replace(graph: ir.Graph, last: ir.Node, values: dict[str | None, ir.Value]) -> bool:
    told = json.loads(last.metadata_props[facts.WRITTEN_KEY])
    inputs = [values.get(name) for name in told["inputs"]]
    described = told["MaxPoolGrad"]
    if len(described["kernel_shape"]) != _AXES or not _need_only(last, inputs):
        return False
    made = ir.node("MaxPoolGrad", inputs, described, domain=DOMAIN, name=last.name)
    new, old = made.outputs[0], last.outputs[0]
    new.name, new.type, new.shape = old.name, old.type, old.shape
    made.metadata_props[facts.WRITTEN_KEY] = ""
    ir.convenience.replace_nodes_and_values(graph, last, [last], [made], [old], [new])
    return True


def _need_only(last: ir.Node, inputs: list[ir.Value | None]) -> bool:
    """Whether a node's result needs all of these values, float32, and no others."""
    if any(v is None or v.dtype != ir.DataType.FLOAT for v in inputs):
        return False
    needed: set[ir.Value] = set()
    nodes, seen = [last], {last}
    while nodes:
        for value in nodes.pop().inputs:
            if value is None or facts.is_constant(value):
                continue
            maker = value.producer()
            if value in inputs:
                needed.add(value)
            elif maker is None or not facts.is_written(maker):
                return False
            elif maker not in seen:
                seen.add(maker)
                nodes.append(maker)
    return needed == set(inputs)

"""Write the walk back through max pooling as one of our own operators, ``ai.onnxplain::MaxPoolGrad``.

Cases: two spatial axes, float32, pads that are known.  A walk back writes some thirty nodes, the last of
which tells what they do together, and with which values.  That is not believed as it stands: the nodes must
need these values and constants alone.

Behind a rectifier what comes back is kept where what was pooled is above 0.  Each window's number goes to its
maximum, so the numbers of windows whose maximum is not are left out before: the same sums, of fewer numbers.
"""

from __future__ import annotations

import json

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from onnxplain.graph import facts
from onnxplain.graph.passes.lower.matching import DOMAIN, number, remove_unread

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
                made = _replace(model.graph, node, values)
                if made is not None:
                    modified = True
                    _mask_before(model.graph, made)
        if modified:
            model.graph.opset_imports[DOMAIN] = 1
            RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, modified)


def _replace(graph: ir.Graph, last: ir.Node, values: dict[str | None, ir.Value]) -> ir.Node | None:
    told = json.loads(last.metadata_props[facts.WRITTEN_KEY])
    inputs = [values.get(name) for name in told["inputs"]]
    described = told["MaxPoolGrad"]
    if len(described["kernel_shape"]) != _AXES or not _need_only(last, inputs):
        return None
    made = ir.node("MaxPoolGrad", inputs, described, domain=DOMAIN, name=last.name)
    new, old = made.outputs[0], last.outputs[0]
    new.name, new.type, new.shape = old.name, old.type, old.shape
    made.metadata_props[facts.WRITTEN_KEY] = ""
    ir.convenience.replace_nodes_and_values(graph, last, [last], [made], [old], [new])
    return made


def _mask_before(graph: ir.Graph, pooling: ir.Node) -> None:
    """Mask numbers of windows where what they make is masked by what was pooled, and not read otherwise."""
    (x, y, g), given = pooling.inputs, pooling.outputs[0]
    uses = list(given.uses())
    mask = uses[0].node if len(uses) == 1 and uses[0].idx == 1 else None
    if mask is None or mask.op_type != "Where" or not facts.is_written(mask):
        return
    if given.is_graph_output() or mask.outputs[0].is_graph_output():
        return
    compared, otherwise = mask.inputs[0], mask.inputs[2]
    above = None if compared is None else compared.producer()
    if above is None or above.op_type != "Greater" or not facts.is_written(above) or above.inputs[0] is not x:
        return
    zeros = above.inputs[1]
    if number(zeros) != 0.0 or number(otherwise) != 0.0 or y is None or g is None:
        return
    name = f"{pooling.name}/of_windows"
    kept = ir.node("Greater", [y, zeros], name=f"{name}/kept")
    masked = ir.node("Where", [kept.outputs[0], g, otherwise], name=name)
    for node, dtype in ((kept, ir.DataType.BOOL), (masked, ir.DataType.FLOAT)):
        node.outputs[0].name, node.outputs[0].type = node.name, ir.TensorType(dtype)
        node.outputs[0].shape = y.shape
        node.metadata_props[facts.WRITTEN_KEY] = ""
        graph.insert_before(pooling, node)
    pooling.replace_input_with(2, masked.outputs[0])
    ir.convenience.replace_all_uses_with(mask.outputs[0], given)
    graph.remove(mask, safe=True)
    remove_unread(graph, [compared])


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

"""Write the walk back through max pooling as one of our own operators, ``ai.onnxplain::MaxPoolGrad``.

Cases: one to three spatial axes, float32 or float16, pads that are known.  A walk back writes
some thirty nodes, the last of which tells what they do together, and with which values.  That is not believed
as it stands: the nodes must need these values and constants alone.

Behind a rectifier what comes back is kept where what was pooled is above 0.  Each window's number goes to its
maximum, so the numbers of windows whose maximum is not are left out before: the same sums, of fewer numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from onnxplain.graph import facts
from onnxplain.graph.passes.lower.matching import DOMAIN, TYPES, made_by, number, remove_unread
from onnxplain.graph.passes.lower.pooling import Pooling

__all__ = ["MaxPoolGrads"]


class MaxPoolGrads(ir.passes.InPlacePass):
    """Lower for where the library of operators is loaded."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        told = [n for n in model.graph if n.metadata_props.get(facts.WRITTEN_KEY, "").startswith("{")]
        modified = False
        if told:
            values = {v.name: v for node in model.graph for v in node.outputs}
            values |= {v.name: v for v in model.graph.inputs}
            opset = model.graph.opset_imports.get("", 18)
            for node in reversed(told):
                fits = node.outputs[0].dtype in TYPES
                made = _replace(model.graph, node, values, opset) if fits else None
                modified |= made is not None
                if made is not None and made.domain == DOMAIN:
                    _mask_before(model.graph, made)
        if modified:
            model.graph.opset_imports[DOMAIN] = 1
            RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, modified)


def _replace(
    graph: ir.Graph, last: ir.Node, values: Mapping[str | None, ir.Value], opset: int
) -> ir.Node | None:
    """Return the node that makes the result now; None where the old one stays."""
    told = json.loads(last.metadata_props[facts.WRITTEN_KEY])
    inputs = [values[name] for name in told["inputs"] if name in values]
    made_of = _made_of(last, inputs)
    if len(inputs) != 3 or made_of is None:
        return None
    write = Pooling(graph, last, opset)
    axes = len(told["MaxPoolGrad"]["kernel_shape"])
    maxima = values.get(told["behind"])
    if axes == 1:
        made = write.on_lines(inputs, told["MaxPoolGrad"])
    elif axes == 2:
        made = write.on_planes(inputs, told["MaxPoolGrad"])
    elif axes == 3 and maxima is not None and maxima in made_of and _is_pooled(maxima, inputs[0]):
        made = write.on_volumes(inputs, maxima, told["MaxPoolGrad"])
    else:
        return None
    old = last.outputs[0]
    node: ir.Node = made.producer()
    made.name, made.type, made.shape, node.name = old.name, old.type, old.shape, last.name
    ir.convenience.replace_all_uses_with(old, made, replace_graph_outputs=True)
    graph.remove(last, safe=True)
    return node


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
    for node, dtype in ((kept, ir.DataType.BOOL), (masked, g.dtype)):
        node.outputs[0].name, node.outputs[0].type = node.name, ir.TensorType(dtype or ir.DataType.FLOAT)
        node.outputs[0].shape = y.shape
        node.metadata_props[facts.WRITTEN_KEY] = ""
        graph.insert_before(pooling, node)
    pooling.replace_input_with(2, masked.outputs[0])
    ir.convenience.replace_all_uses_with(mask.outputs[0], given)
    graph.remove(mask, safe=True)
    remove_unread(graph, [compared])


def _made_of(last: ir.Node, inputs: list[ir.Value]) -> set[ir.Value] | None:
    """Return what a node's result is made of between these values; None if it needs others, or not all."""
    kinds = {v.dtype for v in (*inputs, last.outputs[0])}
    seen: set[ir.Value] = set()
    stack = [last]
    while stack:
        for value in stack.pop().inputs:
            if value is None or value in seen or facts.is_constant(value):
                continue
            seen.add(value)
            maker = value.producer()
            if value in inputs:
                continue
            if maker is None or not facts.is_written(maker):
                return None
            stack.append(maker)
    return seen if len(kinds) == 1 and seen.issuperset(inputs) else None


def _is_pooled(maxima: ir.Value | None, x: ir.Value) -> bool:
    """Whether these are maxima of x along two axes, one after the other."""
    once = made_by(maxima, "MaxPool")
    twice = None if once is None else made_by(once.inputs[0], "MaxPool")
    return twice is not None and twice.inputs[0] is x

"""Compute quantised operators in floating-point numbers.

An integer has no gradient; the real number that it stands for has one.  So the graph that is explained holds
quantised tensors as floats: the same integers, with rounding and saturation written out.  Predictions stay
the same, up to float32's rounding of long sums.  Constant integer weights become constant floats.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.quantized.arithmetic import RANGES, QuantizedWriter
from onnxplain.graph.quantized.standard import QUANTIZED
from onnxplain.graph.traits import Is, operators, traits
from onnxplain.graph.writer import NotDecomposedError

__all__ = ["Dequantize"]

#: Operators that do the same with the whole numbers as with the floats that hold them.
_SAME = operators(some=Is.MOVES | Is.EXTREME, lacks=Is.CASTS) | {"Add", "Clip", "Mul", "Relu", "Sub", "Sum"}
_WHOLE = frozenset({*RANGES, ir.DataType.INT32, ir.DataType.INT64})


class Dequantize(ir.passes.InPlacePass):
    """Rewrite every graph of a model that holds quantised operators."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        opset = model.graph.opset_imports.get("", 18)
        graphs = (model.graph, *model.graph.subgraphs())
        if not any(_key(node) in QUANTIZED for graph in graphs for node in graph):
            return ir.passes.PassResult(model, False)
        held = [*model.graph.inputs, *model.graph.initializers.values()]
        double = any(v.dtype == ir.DataType.DOUBLE for v in held)
        modified = False
        for graph in graphs:
            writer = QuantizedWriter(graph, opset, ir.DataType.DOUBLE if double else ir.DataType.FLOAT)
            modified |= _rewrite(graph, writer)
        return ir.passes.PassResult(model, modified)


def _key(node: ir.Node) -> tuple[str, str]:
    return ("" if node.domain == "ai.onnx" else node.domain, node.op_type)


def _rewrite(graph: ir.Graph, op: QuantizedWriter) -> bool:
    replaced: list[ir.Node] = []
    for node in list(graph):
        op.before, op.scope = node, f"{node.name or node.outputs[0].name}/float"
        made = _decompose(op, node) or _move(op, node)
        if made is None:
            continue
        replaced.append(node)
        for old, new in zip(node.outputs, made, strict=False):
            if old.shape is not None and new.producer() is not None:
                op.annotate(new, old)
            op.floats[old] = new
    op.before = None
    for node in replaced:
        for old in node.outputs:
            if (old.uses() or old.is_graph_output()) and old in op.floats:
                _hand_over(graph, op, node, old, replaced)
    for node in reversed(replaced):
        graph.remove(node, safe=True)
    return bool(replaced)


def _decompose(op: QuantizedWriter, node: ir.Node) -> list[ir.Value] | None:
    write = QUANTIZED.get(_key(node))
    if write is None:
        return None
    try:
        return list(write(op, node))
    except NotDecomposedError as error:
        node.metadata_props[facts.REASON_KEY] = str(error)
        return None


def _move(op: QuantizedWriter, node: ir.Node) -> list[ir.Value] | None:
    """Let an operator that moves quantised values do so with floats."""
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "Cast":
        source = node.inputs[0]
        if source is None or source not in op.floats or facts.is_float(source):
            return None
        to = ir.DataType(node.attributes["to"].as_int())
        value = op.floats[source]
        if to in _WHOLE or to == value.dtype:
            return [value]
        return [op.Cast(value, to=int(to))] if to in facts.FLOATS else None
    if node.op_type not in _SAME:
        return None
    held = [k for k in range(len(node.inputs)) if traits(node).holds(k)]
    if not any(
        v in op.floats and not facts.is_float(v) for v in (node.inputs[k] for k in held) if v is not None
    ):
        return None
    if len(node.outputs) > 1 and node.op_type != "Split":
        return None
    inputs = [op.float_of(v) if k in held and v is not None else v for k, v in enumerate(node.inputs)]
    made = ir.Node("", node.op_type, inputs, node.attributes.values(), num_outputs=len(node.outputs))
    made.name = op.fresh(node.op_type)
    op.graph.insert_before(node, made)
    for k, output in enumerate(made.outputs):
        output.name, output.type = f"{made.name}.{k}", ir.TensorType(op.dtype)
    return list(made.outputs)


def _hand_over(
    graph: ir.Graph, op: QuantizedWriter, node: ir.Node, old: ir.Value, replaced: list[ir.Node]
) -> None:
    """Give users that were not rewritten what they had: floats as such, integers by a Cast."""
    new, gone = op.floats[old], set(replaced)
    outside = [(user, k) for user, k in old.uses() if user not in gone]
    is_output = old.is_graph_output()
    if not outside and not is_output:
        return
    whole = not facts.is_float(old)
    if whole or is_output:
        attrs = {"to": int(old.dtype)} if whole and old.dtype is not None else {}
        wrapper = ir.node("Cast" if attrs else "Identity", [new], attrs, name=op.fresh("Cast"))
        graph.insert_before(node, wrapper)
        value = wrapper.outputs[0]
        value.name, value.type, value.shape = old.name, old.type, old.shape
        new = value
    for user, k in outside:
        user.replace_input_with(k, new)
    if is_output:
        old.name = None
        for k, output in enumerate(graph.outputs):
            if output is old:
                graph.outputs[k] = new

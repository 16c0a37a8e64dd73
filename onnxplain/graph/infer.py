"""The little type inference that newly written nodes need: dtypes by operator, shapes where trivial."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.traits import Is, is_a

__all__ = ["infer_dims", "infer_dtype", "infer_node"]


def infer_dtype(node: ir.Node, output: int = 0) -> ir.DataType | None:
    """Return the dtype of a node's output, or None if it is unknown."""
    op = node.op_type
    if is_a(node, Is.INT64) or (op in ("MaxPool", "TopK") and output == 1):
        return ir.DataType.INT64
    if is_a(node, Is.TRUTH):
        return ir.DataType.BOOL
    if op == "Cast":
        return ir.DataType(node.attributes["to"].as_int())
    wanted = node.attributes.get("dtype") if op == "EyeLike" else None
    if wanted is not None:
        return ir.DataType(wanted.as_int())
    if op in ("ConstantOfShape", "Constant"):
        value = node.attributes.get("value")
        if value is not None:
            return value.as_tensor().dtype
        return ir.DataType.FLOAT
    source = 1 if op in ("Where", "OneHot") else 0
    if op == "OneHot":
        source = 2
    if source >= len(node.inputs):
        return None
    value_in = node.inputs[source]
    return None if value_in is None else value_in.dtype


def infer_dims(node: ir.Node, output: int = 0) -> tuple[facts.Dim, ...] | None:
    """Return an output's dimensions; None but for first ones that are inputs', broadcast or transposed."""
    if output:
        return None
    if is_a(node, Is.LIKE_FIRST):
        return None if node.inputs[0] is None else facts.dims(node.inputs[0])
    if is_a(node, Is.BROADCASTS):
        used = [i for i in node.inputs if i is not None]
        return facts.broadcast_dims(*(facts.dims(i) for i in used))
    if node.op_type == "Transpose" and node.inputs[0] is not None:
        shape = facts.dims(node.inputs[0])
        perm = facts.attr(node, "perm")
        if shape is not None:
            order = perm if isinstance(perm, tuple) else tuple(reversed(range(len(shape))))
            return tuple(shape[p] for p in order)
    return None


def infer_node(node: ir.Node, opset: int) -> None:
    """Fill in a standard node's output dtypes and shapes by ONNX's own inference for its operator."""
    proto = ir.to_proto(node)
    assert isinstance(proto, onnx.NodeProto)
    types, data = {}, {}
    for value in node.inputs:
        if value is None or value.name is None:
            continue
        info = onnx.ValueInfoProto()
        ir.serde.serialize_value_into(info, value)
        types[value.name] = info.type
        content = facts.constant(value)
        if content is not None and content.size <= 64 and value.dtype != ir.DataType.STRING:
            data[value.name] = onnx.numpy_helper.from_array(content, value.name)
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    imports = [onnx.helper.make_opsetid("", opset)]
    found = onnx.shape_inference.infer_node_outputs(schema, proto, types, data, opset_imports=imports)
    for output in node.outputs:
        made = found.get(output.name or "")
        if made is None or not made.HasField("tensor_type"):
            continue
        output.type = ir.TensorType(ir.DataType(made.tensor_type.elem_type))
        if output.shape is None:
            output.shape = ir.serde.deserialize_type_proto_for_shape(made)

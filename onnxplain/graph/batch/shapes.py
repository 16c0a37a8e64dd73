"""Shapes of outputs at one batch size, from the standard's own inference for single operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.batch.values import Dims, Found, Value
from onnxplain.graph.traits import Is, is_a, traits

__all__ = ["infer", "spread"]

#: Contents that inference reads are small.
_FEW = 64


def spread(shapes: Sequence[Dims | None]) -> Dims | None:
    """Return the shape that broadcasting gives; None for lengths that are not known."""
    return facts.broadcast_dims(*shapes)  # type: ignore[return-value]  # no names in, none out


def infer(node: ir.Node, inputs: Sequence[Found | None], opset: int) -> list[Dims | None]:
    """Return the shape of each output at the first of the batch sizes tried.

    Parameters
    ----------
    node
        The node; what it says of its own outputs' shapes is not read.
    inputs
        What is known of its inputs.
    opset
        Version of the standard.
    """
    if len(node.outputs) == 1 and traits(node).flags & (Is.LIKE_FIRST | Is.BROADCASTS):
        deciding = inputs[:1] if is_a(node, Is.LIKE_FIRST) else inputs
        return [spread([i.shape if isinstance(i, Value) else None for i in deciding if i is not None])]
    if node.op_type == "Compress":
        return [_compressed(node, inputs)]
    nothing: list[Dims | None] = [None] * len(node.outputs)
    domain = "" if node.domain == "ai.onnx" else node.domain
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, domain)
    except onnx.defs.SchemaError:
        return nothing
    proto = ir.to_proto(node)
    assert isinstance(proto, onnx.NodeProto)
    types, data = {}, {}
    for value, found in zip(node.inputs, inputs, strict=False):
        if value is None or not value.name or not isinstance(found, Value):
            continue
        dims = None if found.shape is None else [None if d is None else int(d) for d in found.shape]
        types[value.name] = onnx.helper.make_tensor_type_proto(found.dtype, dims)
        content = None if found.contents is None else found.contents[0]
        if content is not None and content.size <= _FEW and content.dtype.kind in "biuf":
            data[value.name] = onnx.numpy_helper.from_array(np.asarray(content), value.name)
    imports = [onnx.helper.make_opsetid(domain, opset)]
    try:
        made = onnx.shape_inference.infer_node_outputs(schema, proto, types, data, opset_imports=imports)
    except Exception:  # whatever the operator's own inference raises; the shape is then not known
        return nothing
    return [_dims(made.get(o.name or "")) for o in node.outputs]


def _compressed(node: ir.Node, inputs: Sequence[Found | None]) -> Dims | None:
    """Return the shape of what is kept, where the condition is known."""
    x, condition = inputs[:2]
    axis = node.attributes.get("axis")
    if not isinstance(x, Value) or not isinstance(condition, Value) or x.shape is None or axis is None:
        return None
    k = axis.as_int() % len(x.shape)
    kept = None if condition.contents is None else int(np.count_nonzero(condition.contents[0]))
    return (*x.shape[:k], kept, *x.shape[k + 1 :])


def _dims(made: onnx.TypeProto | None) -> Dims | None:
    if made is None or not made.HasField("tensor_type") or not made.tensor_type.HasField("shape"):
        return None
    dims = made.tensor_type.shape.dim
    return tuple(int(d.dim_value) if d.HasField("dim_value") else None for d in dims)

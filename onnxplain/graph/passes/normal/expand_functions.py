"""Replace standard operators by their function bodies, where asked.

ONNX defines many operators (Celu, Gelu, MeanVarianceNormalization...) by a body of simpler ones.  Whoever
has no rule for such an operator can work on the body instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from onnxplain.errors import UnsupportedOperatorError
from onnxplain.graph import facts
from onnxplain.graph.passes.normal.inline_functions import InlineFunctions

__all__ = ["expand_functions", "has_body"]

# onnx.inliner would do, but it cannot expand nodes that leave out an input, and not what bodies contain.
_DOMAIN = "onnxplain.body"


def has_body(op_type: str, domain: str, opset: int) -> bool:
    """Tell whether the standard defines an operator by a body of simpler ones."""
    try:
        schema: Any = onnx.defs.get_schema(op_type, opset, "" if domain == "ai.onnx" else domain)
    except onnx.defs.SchemaError:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


def expand_functions(model: ir.Model, wanted: Callable[[ir.Node], bool]) -> tuple[ir.Model, bool]:
    """Expand the nodes for which ``wanted`` is true and the standard has a body, and those in the bodies.

    Parameters
    ----------
    model
        The model, with dtypes inferred (bodies depend on them); it is changed.
    wanted
        Says of a node whether its body should take its place.

    Returns
    -------
    tuple of ir.Model and bool
        The model, and whether something was expanded.
    """
    opset = model.graph.opset_imports.get("", 18)
    expanded = False
    while True:
        nodes = [
            node
            for node in model.graph.all_nodes()
            if node.domain in ("", "ai.onnx") and wanted(node) and has_body(node.op_type, node.domain, opset)
        ]
        if not nodes:
            return model, expanded
        for k, node in enumerate(nodes):
            body = _body(node, opset, f"{node.op_type}_{k}")
            model.functions[body.identifier()] = body
            node.domain, node.op_type = body.domain, body.name
            for j, output in enumerate(node.outputs):
                output.name = output.name or f"{body.name}/unused_{j}"
            model.graph.opset_imports[_DOMAIN] = 1
        model = InlineFunctions()(model).model
        model.graph.opset_imports.pop(_DOMAIN)
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
        expanded = True


def _body(node: ir.Node, opset: int, name: str) -> ir.Function:
    """Build the body that the standard gives a node, which may depend on its attributes and input types."""
    schema: Any = onnx.defs.get_schema(node.op_type, opset, "")
    proto = onnx.FunctionProto()
    if schema.has_function:
        version = max(v for v in schema.function_opset_versions if v <= opset)
        proto.ParseFromString(schema.get_function_with_opset_version(version))
    else:
        version = max(v for v in schema.context_dependent_function_opset_versions if v <= opset)
        types = [_type(value) for value in node.inputs]
        made = ir.to_proto(node)
        assert isinstance(made, onnx.NodeProto)
        proto.ParseFromString(
            schema.get_context_dependent_function_with_opset_version(
                version, made.SerializeToString(), [t.SerializeToString() for t in types]
            )
        )
    if not proto.node:
        raise UnsupportedOperatorError(
            f"{facts.node_label(node)}: the standard's body for it needs static shapes; "
            "run onnx.shape_inference on the model, or export it again with static shapes"
        )
    proto.domain, proto.name = _DOMAIN, name
    for imported in proto.opset_import:
        if imported.domain in ("", "ai.onnx"):  # a body holds until the standard gives a newer one
            imported.version = opset
    computed = {o for n in proto.node for o in n.output} | set(proto.input)
    # What the node leaves out, its body does not make: another value stands in for it.
    found = [o if o in computed else proto.output[0] for o in proto.output[: len(node.outputs)]]
    proto.ClearField("output")
    proto.output.extend(found)
    return ir.serde.deserialize_function(proto)


def _type(value: ir.Value | None) -> onnx.TypeProto:
    """State a value's type and shape (an omitted input has none)."""
    proto = onnx.ValueInfoProto()
    if value is not None:
        ir.serde.serialize_value_into(proto, value)
    return proto.type

"""Replace standard operators by their function bodies, where asked.

ONNX defines many operators (Celu, Gelu, MeanVarianceNormalization...) by a body of simpler ones.  Whoever
has no rule for such an operator can work on the body instead.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnx.inliner
import onnx_ir as ir

from onnxplain.graph.stubs import restore_weights, weights_as_inputs

__all__ = ["expand_functions", "has_body"]


def has_body(op_type: str, domain: str, opset: int) -> bool:
    """Tell whether the standard defines an operator by a body of simpler ones."""
    try:
        schema = onnx.defs.get_schema(op_type, opset, "" if domain == "ai.onnx" else domain)
    except onnx.defs.SchemaError:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


def expand_functions(model: ir.Model, wanted: Callable[[ir.Node], bool]) -> tuple[ir.Model, bool]:
    """Expand the nodes for which ``wanted`` is true and the standard has a body.

    Parameters
    ----------
    model
        The model; left unchanged.
    wanted
        Says of a node whether its body should take its place.

    Returns
    -------
    tuple of ir.Model and bool
        The model (a new one where something was expanded), and whether it was.
    """
    opset = model.graph.opset_imports.get("", 18)
    names = {
        ("", node.op_type)
        for node in model.graph
        if node.domain in ("", "ai.onnx") and wanted(node) and has_body(node.op_type, node.domain, opset)
    }
    if not names:
        return model, False
    with weights_as_inputs(model) as weights:
        proto = ir.to_proto(model)
    result = ir.from_proto(onnx.inliner.inline_selected_functions(proto, sorted(names), False, True))
    restore_weights(result, weights)
    return result, True

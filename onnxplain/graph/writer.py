"""Writing out nodes in the middle of a graph, with the shapes of all that is written."""

from __future__ import annotations

import contextlib
from typing import Any

import onnx
import onnx_ir as ir

from onnxplain.graph.build import Ops
from onnxplain.graph.infer import infer_node

__all__ = ["NotDecomposedError", "Writer", "infer_known"]


class NotDecomposedError(Exception):
    """A node is of a kind that is not written out; it stays, and whoever needs its gradient says why."""


class Writer(Ops):
    """:class:`~onnxplain.graph.build.Ops` that infers dtypes and shapes by ONNX's rules."""

    def emit(self, op_type: str, inputs: Any, attrs: dict[str, Any] | None = None) -> Any:
        """Write a node as :meth:`Ops.emit` does, and fill in what is known of its outputs."""
        made = super().emit(op_type, inputs, attrs)
        first = made if isinstance(made, ir.Value) else made[0]
        node = first.producer()
        if node is not None and first.shape is None:
            infer_known(node, self.opset)
        return made


def infer_known(node: ir.Node, opset: int) -> None:
    """Fill in dtypes and shapes of a standard node's outputs, as far as its inputs' are known."""
    bodies = any(a.type == ir.AttributeType.GRAPH for a in node.attributes.values())
    typed = all(v is None or v.dtype is not None for v in node.inputs)
    if node.domain in ("", "ai.onnx") and typed and not bodies:
        with contextlib.suppress(
            onnx.shape_inference.InferenceError, onnx.defs.SchemaError, onnx.checker.ValidationError
        ):
            infer_node(node, opset)

"""Normal forms as plain bytes and arrays, so that they travel to other processes."""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir

from onnxplain._types import Arrays
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.stubs import restore_weights, weights_as_inputs

__all__ = ["pack", "unpack"]


def pack(normal: Normalized) -> dict[str, Any]:
    """Return a model in normal form as what pickle knows; the weights are not copied."""
    model = normal.model.clone()  # the model itself may be in use
    with weights_as_inputs(model) as taken:
        proto = ir.to_proto(model)
        weights: Arrays = {name: tensor.numpy() for name, tensor in taken.items()}
    assert isinstance(proto, onnx.ModelProto)
    return {
        "graph": proto.SerializeToString(),
        "weights": weights,
        "notes": normal.notes,
        "content": normal.content,
        "gone": dict(normal.gone),
    }


def unpack(packed: dict[str, Any]) -> Normalized:
    """Undo :func:`pack`."""
    model = ir.from_proto(onnx.ModelProto.FromString(packed["graph"]))
    dtypes = {v.name: v.dtype for v in model.graph.inputs}
    weights: dict[str, ir.TensorProtocol] = {
        name: ir.Tensor(array, dtype=dtypes[name], name=name) for name, array in packed["weights"].items()
    }
    restore_weights(model, weights)
    return Normalized(model, packed["notes"], packed["content"], packed["gone"])

"""What a file decides while it runs (which side of a kink, which maximum), told, or taken from another run.

Two runtimes round differently, so that a number near a kink may fall on its other side, and a gradient jumps.
Given the same decisions, they must say the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

__all__ = ["given", "told"]

_TRUTHS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")
_TYPES = dict.fromkeys(_TRUTHS, TensorProto.BOOL) | {"ArgMax": TensorProto.INT64, "Sign": TensorProto.FLOAT}


def told(path: Path) -> tuple[onnx.ModelProto, list[str]]:
    """Return a file that gives its decisions as further outputs (those in loops with an axis of turns)."""
    model = onnx.load(path)
    names = []
    for node, loop in list(_decisions(model.graph)):
        name, dtype = node.output[0], _TYPES[node.op_type]
        if loop is not None:
            body = helper.get_node_attr_value(loop, "body")
            body.output.append(helper.make_tensor_value_info(name, dtype, None))
            for attribute in loop.attribute:
                if attribute.name == "body":
                    attribute.g.CopyFrom(body)
            name = f"told/{name}"
            loop.output.append(name)
        if all(o.name != name for o in model.graph.output):
            model.graph.output.append(helper.make_tensor_value_info(name, dtype, None))
        names.append(name)
    return model, names


def given(path: Path, decisions: dict[str, np.ndarray]) -> onnx.ModelProto:
    """Return a file that takes decisions as further inputs instead of making them."""
    model = onnx.load(path)
    for node, loop in list(_decisions(model.graph)):
        name, dtype = node.output[0], _TYPES[node.op_type]
        if loop is None:
            made = helper.make_node("Identity", [f"given/{name}"], [name])
        else:
            body = next(a.g for a in loop.attribute if a.name == "body")
            made = helper.make_node("Gather", [f"given/{name}", body.input[0].name], [name], axis=0)
        node.CopyFrom(made)
        model.graph.input.append(helper.make_tensor_value_info(f"given/{name}", dtype, None))
    assert {i.name for i in model.graph.input} >= {f"given/{n.removeprefix('told/')}" for n in decisions}
    return model


def _decisions(graph: onnx.GraphProto) -> Iterator[tuple[onnx.NodeProto, onnx.NodeProto | None]]:
    """Yield nodes that decide by numbers that are computed, with the loop that they are in."""
    for node in graph.node:
        if node.op_type in _TYPES:
            yield node, None
        if node.op_type == "Loop":
            body = next(a.g for a in node.attribute if a.name == "body")
            yield from ((inner, node) for inner in body.node if inner.op_type in _TYPES)

"""Rectified values, which are cheaper computed once more than read: ``Min(Max(low, x), high)``."""

from __future__ import annotations

from typing import NamedTuple

import onnx_ir as ir

from onnxplain.graph import facts

__all__ = ["Bounds", "bounds"]


class Bounds(NamedTuple):
    """What a value is the rectified form of, and between which bounds (None: without)."""

    source: ir.Value
    low: float | None
    high: float | None


def bounds(value: ir.Value) -> Bounds | None:
    """Return what a value is the rectified form of; None if it is none, or its bounds are no constants."""
    node = value.producer()
    if node is None or node.domain not in ("", "ai.onnx") or node.op_type not in ("Relu", "Clip"):
        return None
    source = node.inputs[0]
    if source is None or source.dtype != value.dtype:
        return None
    if node.op_type == "Relu":
        return Bounds(source, 0.0, None)
    found: list[float | None] = []
    for given in (*node.inputs[1:], None, None)[:2]:
        content = None if given is None else facts.constant(given)
        if given is not None and (content is None or content.size != 1):
            return None
        found.append(None if content is None else float(content.item()))
    low, high = found
    if low is not None and high is not None and not low <= high:
        return None
    return Bounds(source, low, high)

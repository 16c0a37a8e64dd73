"""Where a classifier's scores are: the value before a closing Softmax."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["before_softmax"]

_SHAPE_ONLY = frozenset({"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Dropout"})


def before_softmax(output: ir.Value) -> ir.Value | None:
    """Return what enters the Softmax or LogSoftmax that an output ends in, or None if it ends otherwise.

    Operators that only change the shape or the dtype may stand between the Softmax and the output.
    """
    value: ir.Value | None = output
    while value is not None:
        node = value.producer()
        if node is None or node.domain not in ("", "ai.onnx"):
            return None
        if node.op_type in ("Softmax", "LogSoftmax"):
            return node.inputs[0]
        if node.op_type not in _SHAPE_ONLY:
            return None
        value = node.inputs[0]
    return None

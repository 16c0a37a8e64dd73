"""Which written values may be infinite though all of the model's own values are finite."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.traits import Is, operators

__all__ = ["has_pole"]

#: Operators that may make infinities of finite numbers.  Roots are written of sums of squares; whether a Div
#: is one of them, its divisor tells; bodies may hold anything.
_POLES = operators(some=Is.PARTIAL | Is.POLE | Is.OVERFLOWS) - {"Div", "Sqrt"} | {"If", "Loop", "Scan"}
#: What a rule writes to keep a divisor away from 0: a stabiliser, a bound, a choice of something else.
_GUARDS = frozenset({"Add", "Max", "Min", "Sub", "Where"})
#: What counts go through on their way to a divisor.
_COUNTED = frozenset({"Cast", "Div", "Expand", "Mul", "ReduceSum", "Reshape", "Unsqueeze"})


def has_pole(value: ir.Value, seen: dict[ir.Value, bool] | None = None) -> bool:
    """Tell whether a walk back may have divided by 0, or the like, on the way to a value.

    Parameters
    ----------
    value
        A value of a program; the model's own values and constants count as finite.
    seen
        What is known of other values; it grows, so that many questions on one graph cost one walk.
    """
    seen = {} if seen is None else seen
    stack = [value]
    while stack:
        current = stack[-1]
        node = current.producer()
        if current in seen:
            stack.pop()
        elif node is None or not facts.is_written(node) or not facts.is_float(current):
            seen[current] = False
        elif (
            node.domain or node.op_type in _POLES or (node.op_type == "Div" and not _guarded(node.inputs[1]))
        ):
            seen[current] = True
        else:
            used = [v for v in node.inputs if v is not None]
            waiting = [v for v in used if v not in seen]
            if waiting:
                stack.extend(waiting)
            else:
                seen[current] = any(seen[v] for v in used)
    return seen[value]


def _guarded(divisor: ir.Value | None) -> bool:
    """Tell whether a divisor is certainly not 0."""
    content = facts.constant(divisor)
    if content is not None:
        return bool(np.all(content != 0))
    node = None if divisor is None else divisor.producer()
    if node is None or not facts.is_written(node):
        return False
    return node.op_type in _GUARDS or _is_count(node)


def _is_count(node: ir.Node) -> bool:
    """Tell whether a value is a number of elements."""
    stack = [node]
    while stack:
        node = stack.pop()
        if node.op_type == "Cast" and node.inputs[0] is not None and not facts.is_float(node.inputs[0]):
            continue
        if node.op_type not in _COUNTED:
            return False
        for value in node.inputs[
            : 1 if node.op_type in ("Expand", "ReduceSum", "Reshape", "Unsqueeze") else None
        ]:
            maker = None if value is None else value.producer()
            if maker is not None:
                stack.append(maker)
            elif not facts.is_constant(value):
                return False
    return True

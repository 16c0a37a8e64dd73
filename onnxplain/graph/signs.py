"""Which values can never be negative: what lets rules leave branches out.

Where a node may make such values after all by its attributes (a bound below 0), these are looked
at; whole numbers, which wrap around, are never trusted.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.traits import Is, is_a, traits

__all__ = ["non_negative"]

#: Operators that may make negative numbers of others for some of their attributes: what must hold.
_PROVIDED: dict[str, Callable[[ir.Node], bool]] = {
    "Cast": lambda node: _of_floats(node),
    "CastLike": lambda node: _of_floats(node),
    "Clip": lambda node: _bound(node, 1) >= 0 and (_absent(node, 2) or _bound(node, 2) >= 0),
    "LRN": lambda node: _number(node, "alpha", 1e-4) >= 0 and _number(node, "bias", 1.0) >= 0,
    "ThresholdedRelu": lambda node: _number(node, "alpha", 1.0) >= 0,
}


def non_negative(value: ir.Value | None, seen: dict[ir.Value, bool] | None = None) -> bool:
    """Tell whether a value is certainly >= 0 everywhere, whatever the input.

    Parameters
    ----------
    value
        A value of a graph in normal form.
    seen
        What is known of other values; it grows, so that many questions on one graph cost one walk.
    """
    return value is not None and _look(value, {} if seen is None else seen)


def _look(value: ir.Value, seen: dict[ir.Value, bool]) -> bool:
    stack = [value]
    while stack:
        current = stack[-1]
        if current in seen:
            stack.pop()
            continue
        node = current.producer()
        if node is None:
            array = facts.constant(current)
            seen[current] = array is not None and array.dtype.kind == "f" and bool((array >= 0).all())
            continue
        if node.domain not in ("", "ai.onnx") or not _PROVIDED.get(node.op_type, _any_attributes)(node):
            seen[current] = False
        elif is_a(node, Is.NON_NEGATIVE):
            seen[current] = True
        elif not traits(node).flags & (Is.NON_NEGATIVE_IF_ALL | Is.NON_NEGATIVE_IF_ANY):
            seen[current] = False
        else:
            wanted = _deciding(node)
            waiting = [i for i in wanted if i not in seen]
            if waiting:
                stack.extend(waiting)
                continue
            seen[current] = (any if is_a(node, Is.NON_NEGATIVE_IF_ANY) else all)(seen[i] for i in wanted)
    return seen[value]


def _any_attributes(node: ir.Node) -> bool:
    return True


def _of_floats(node: ir.Node) -> bool:
    """Tell a cast between floats: whole numbers wrap around."""
    x, y = node.inputs[0], node.outputs[0]
    return x is not None and all(v.dtype is not None and facts.is_float(v) for v in (x, y))


def _absent(node: ir.Node, position: int) -> bool:
    return len(node.inputs) <= position or node.inputs[position] is None


def _bound(node: ir.Node, position: int) -> float:
    """Return a constant operand; NaN, which is never at least 0, where it is none."""
    content = None if _absent(node, position) else facts.constant(node.inputs[position])
    return math.nan if content is None or content.size != 1 else float(content.item())


def _number(node: ir.Node, name: str, default: float) -> float:
    found = facts.attr(node, name, default)
    return found if isinstance(found, float) else math.nan


def _deciding(node: ir.Node) -> list[ir.Value]:
    """Return the inputs whose signs decide the output's."""
    row = traits(node)
    return [v for k, v in enumerate(node.inputs) if v is not None and row.holds(k)]

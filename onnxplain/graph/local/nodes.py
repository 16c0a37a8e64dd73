"""What nodes do to planes: windows that slide, and what is done place by place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from onnxplain._types import Shape
from onnxplain.graph import facts
from onnxplain.graph.local.regions import Sliding
from onnxplain.graph.traits import Is, traits

__all__ = ["fill_of", "placewise", "products", "sliding", "without_pads"]

#: Returns a value's shape for the given inputs; None where it is not known.
_ShapeOf = Callable[[ir.Value], Shape | None]

_PLANES = 4  # axes: samples, channels, rows, columns


def sliding(node: ir.Node, shape_of: _ShapeOf) -> Sliding | None:
    """Return how a node's windows slide over the planes of its first input; None if it has none of this kind.

    What stands beyond the ends must not matter, or be one number: see :func:`fill_of`.
    """
    if node.domain or node.op_type not in ("Conv", "MaxPool", "AveragePool"):
        return None
    given, made = node.inputs[0], shape_of(node.outputs[0])
    shape = None if given is None else shape_of(given)
    if shape is None or made is None or len(shape) != _PLANES or len(made) != _PLANES:
        return None
    if node.op_type == "Conv":
        weight = node.inputs[1]
        held = None if weight is None else shape_of(weight)
        if held is None:
            return None
        kernel = held[2], held[3]
    else:
        kernel = _two(node, "kernel_shape")
    strides, dilations = _two(node, "strides"), _two(node, "dilations")
    pads = facts.attr(node, "pads", (0, 0, 0, 0))
    assert isinstance(pads, tuple)
    begins, how = (int(pads[0]), int(pads[1])), facts.attr(node, "auto_pad", "NOTSET")
    if how == "VALID":
        begins = 0, 0
    elif how != "NOTSET":
        reach = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
        missing = [max((made[2 + k] - 1) * strides[k] + reach[k] + 1 - shape[2 + k], 0) for k in (0, 1)]
        upper = how == "SAME_UPPER"
        first, second = (m // 2 if upper else m - m // 2 for m in missing)
        begins = first, second
    if node.op_type == "AveragePool":
        plain = not any(pads) and how in ("NOTSET", "VALID")
        if facts.attr(node, "ceil_mode", 0) or not (plain or facts.attr(node, "count_include_pad", 0)):
            return None  # windows at the ends are divided by other numbers
    return Sliding(kernel, strides, dilations, begins, (made[2], made[3]))


def _two(node: ir.Node, name: str) -> tuple[int, int]:
    found = facts.attr(node, name, (1, 1))
    assert isinstance(found, tuple)
    return int(found[0]), int(found[1])


def fill_of(node: ir.Node) -> float:
    """Return what stands beyond the ends of what windows slide over."""
    return -np.inf if node.op_type == "MaxPool" else 0.0


def without_pads(node: ir.Node) -> None:
    """Let a node's windows slide over what they need, and nothing else."""
    for name in ("auto_pad", "ceil_mode"):
        node.attributes.pop(name, None)
    node.attributes["pads"] = ir.AttrInt64s("pads", (0, 0, 0, 0))


def placewise(node: ir.Node, shape_of: _ShapeOf, differing: set[ir.Value]) -> bool:
    """Tell whether each place of a node's output is made of the same place of inputs that differ.

    These are planes of one size, and all other inputs are the same at each place.
    """
    if node.domain or len(node.outputs) != 1:
        return False
    own, made = traits(node), shape_of(node.outputs[0])
    inputs = [v for v in node.inputs if v is not None]
    shapes = {v: shape_of(v) for v in inputs}
    if made is None or any(shape is None for shape in shapes.values()):
        return False
    known = {v: s for v, s in shapes.items() if s is not None}
    planes = [known[v] for v in inputs if v in differing]
    if len(made) != _PLANES or any(len(s) != _PLANES or s[2:] != made[2:] for s in planes):
        return False
    if node.op_type == "Concat":
        return facts.attr(node, "axis", 0) in (1, 1 - _PLANES) and differing.issuperset(inputs)
    if node.op_type == "BatchNormalization":
        return inputs[0] in differing and differing.isdisjoint(inputs[1:])
    if not own.has(Is.ELEMENTWISE) or own.has(Is.RANDOM):
        return False
    others = [known[v] for v in inputs if v not in differing]
    return all(len(s) <= _PLANES and not any(d != 1 for d in s[-2:]) for s in others)


def products(node: ir.Node, shape_of: _ShapeOf) -> int:
    """Return how many numbers a node multiplies, or else how many it makes."""
    made = shape_of(node.outputs[0])
    if made is None:
        return 0
    count = int(np.prod(made, dtype=np.int64))
    second = shape_of(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] is not None else None
    if second is None or not second:
        return count
    if node.op_type == "Conv":
        return count * int(np.prod(second[1:], dtype=np.int64))
    if node.op_type in ("Gemm", "MatMul"):
        transposed = node.op_type == "Gemm" and facts.attr(node, "transB", 0)
        return count * int(second[-1] if transposed else second[max(len(second) - 2, 0)])
    return count

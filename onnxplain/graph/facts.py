"""What is known about a value before anything runs: its dtype, its shape, its constant content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array

__all__ = [
    "ADJOINT",
    "GRADIENT_KEY",
    "LENGTHS_KEY",
    "RANGE_KEY",
    "REASON_KEY",
    "TWIN_KEY",
    "WRITTEN_KEY",
    "Dim",
    "attr",
    "broadcast_dims",
    "constant",
    "dims",
    "is_adjoint",
    "is_constant",
    "is_float",
    "is_integer",
    "is_of_lengths",
    "is_written",
    "n_bytes",
    "node_label",
    "rank",
    "same_shape",
    "static_dim",
    "static_shape",
]

Dim: TypeAlias = "int | str | None"

#: Metadata key by which a node that a pass wrote names its gradient, instead of that of its operator
#: ("straight_through": as if it were the identity; "stop": none).
GRADIENT_KEY = "onnxplain.gradient"

#: Metadata key of nodes that find the range by which a whole tensor is quantised.
RANGE_KEY = "onnxplain.range"

#: Metadata key of constants that were computed of lengths which a model (or its user) fixes.  Where lengths
#: are open they are no constants: no rule may treat them otherwise.
LENGTHS_KEY = "onnxplain.lengths"

#: Metadata key of the nodes of bodies that compute the same for an input and a reference.
TWIN_KEY = "onnxplain.twin"

#: Metadata key by which a pass says why it could not write a node out.
REASON_KEY = "onnxplain.reason"

#: Metadata key of the nodes that a walk back wrote, as against the model's own and copies of these.  It goes
#: along when a graph is copied; what a model brings along is forgotten when it is read, and finished programs
#: carry none.  The last of several nodes may have a text that tells what they do together.
WRITTEN_KEY = "onnxplain.written"
#: What it says of a layer's adjoint.
ADJOINT = "adjoint"

FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
INTEGERS = frozenset(
    {
        ir.DataType.INT8,
        ir.DataType.INT16,
        ir.DataType.INT32,
        ir.DataType.INT64,
        ir.DataType.UINT8,
        ir.DataType.UINT16,
        ir.DataType.UINT32,
        ir.DataType.UINT64,
    }
)


def is_float(value: ir.Value) -> bool:
    """Tell whether a value holds floating-point numbers (an unknown dtype counts as float)."""
    return value.dtype is None or value.dtype in FLOATS


def is_integer(value: ir.Value) -> bool:
    """Tell whether a value holds integers."""
    return value.dtype in INTEGERS


def is_written(node: ir.Node) -> bool:
    """Tell whether a walk back wrote a node: the others are the model's, and no lowering may touch them."""
    return WRITTEN_KEY in node.metadata_props


def is_adjoint(node: ir.Node) -> bool:
    """Tell whether a node carries what a walk takes back through a layer, which is linear in it."""
    return node.metadata_props.get(WRITTEN_KEY) == ADJOINT


def is_constant(value: ir.Value | None) -> bool:
    """Tell whether a value is an initializer whose content is known."""
    return value is not None and value.const_value is not None and not value.is_graph_input()


def is_of_lengths(value: ir.Value | None) -> bool:
    """Tell whether a constant is one only because lengths are fixed."""
    return value is not None and LENGTHS_KEY in value.metadata_props


def constant(value: ir.Value | None) -> Array | None:
    """Return a constant value's content, or None if it is absent or not constant."""
    if value is None or not is_constant(value):
        return None
    assert value.const_value is not None
    return np.asarray(value.const_value.numpy())


def dims(value: ir.Value) -> tuple[Dim, ...] | None:
    """Return the dimensions: int where static, name where symbolic, None where unknown."""
    if value.shape is None:
        return None
    return tuple(d if isinstance(d, int) else d.value for d in value.shape.dims)


def rank(value: ir.Value) -> int | None:
    """Return the number of axes, or None if it is unknown."""
    return None if value.shape is None else value.shape.rank()


def static_dim(value: ir.Value, axis: int) -> int | None:
    """Return one axis' length if it is known before running."""
    found = dims(value)
    if found is None:
        return None
    length = found[axis]
    return length if isinstance(length, int) else None


def static_shape(value: ir.Value) -> tuple[int, ...] | None:
    """Return the whole shape if every axis is known before running."""
    found = dims(value)
    if found is None or not all(isinstance(d, int) for d in found):
        return None
    return tuple(d for d in found if isinstance(d, int))


def same_shape(a: Sequence[Dim] | None, b: Sequence[Dim] | None) -> bool:
    """Tell whether two shapes are certainly equal (equal names count, unknown axes do not)."""
    if a is None or b is None or len(a) != len(b):
        return False
    return all(x is not None and x == y for x, y in zip(a, b, strict=True))


def broadcast_dims(*shapes: Sequence[Dim] | None) -> tuple[Dim, ...] | None:
    """Return the shape that NumPy broadcasting gives, None where it cannot be known."""
    known = [s for s in shapes if s is not None]
    if len(known) != len(shapes):
        return None
    width = max((len(s) for s in known), default=0)
    padded = [(1,) * (width - len(s)) + tuple(s) for s in known]
    out: list[Dim] = []
    for column in zip(*padded, strict=True):
        wide = {d for d in column if d != 1}
        fixed = {d for d in wide if isinstance(d, int)}
        if fixed:
            out.append(fixed.pop())
        elif not wide:
            out.append(1)
        else:
            out.append(wide.pop() if len(wide) == 1 else None)
    return tuple(out)


def attr(node: ir.Node, name: str, default: object = None) -> object:
    """Return an attribute's Python value, or the default if the node does not carry it."""
    found = node.attributes.get(name)
    if found is None:
        return default
    value = found.value
    return tuple(value) if isinstance(value, (list, tuple)) else value


def n_bytes(tensor: ir.TensorProtocol) -> int:
    """Return how many bytes a tensor takes; 0 for texts, which have no fixed size."""
    return 0 if tensor.dtype == ir.DataType.STRING else tensor.nbytes


def node_label(node: ir.Node) -> str:
    """Name a node as error messages do: its op, domain and name."""
    domain = f"{node.domain}." if node.domain not in ("", "ai.onnx") else ""
    name = node.name or (node.outputs[0].name if node.outputs else "")
    return f"{domain}{node.op_type} node '{name}'"

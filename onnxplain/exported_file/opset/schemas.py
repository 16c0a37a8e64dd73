"""What ONNX says of an operator's versions, and whether a node means the same in an older one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import onnx
import onnx_ir as ir

from onnxplain.graph import facts

__all__ = ["OLDEST", "misfit", "versions"]

#: The oldest opset that is written: since then Pad, Clip and Slice take their bounds as inputs.
OLDEST = 11

#: Values of attributes that came without a new attribute: by operator, attribute, and since when.
_LATER_VALUES: dict[tuple[str, int], dict[str, tuple[str, ...]]] = {
    ("Pad", 19): {"mode": ("wrap",)},
    ("Resize", 18): {"coordinate_transformation_mode": ("half_pixel_symmetric",)},
    ("Resize", 19): {"coordinate_transformation_mode": ("half_pixel_symmetric",)},
    ("ScatterElements", 18): {"reduction": ("min", "max")},
    ("ScatterND", 18): {"reduction": ("min", "max")},
}


def versions(node: ir.Node, opset: int) -> Iterator[tuple[Any, Any | None]]:
    """Yield a standard operator's schemas, from that of an opset down, each with the one before it.

    The last is the one that :data:`OLDEST` has, or the first of all, with None.
    """
    schema: Any = onnx.defs.get_schema(node.op_type, opset, "")
    while True:
        before: Any = None
        if schema.since_version > OLDEST:
            try:
                before = onnx.defs.get_schema(node.op_type, schema.since_version - 1, "")
            except onnx.defs.SchemaError:
                before = None
        yield schema, before
        if before is None:
            return
        schema = before


def misfit(node: ir.Node, new: Any, old: Any, *, rewritten: bool = False) -> str | None:
    """Return why a node of one version of its operator is none of the version before; None if it is.

    Parameters
    ----------
    node
        As it stands, with inputs that were attributes in versions before ``new``.
    new, old
        Two schemas of its operator.
    rewritten
        Whether someone sees to the attributes and inputs that the old one lacks.
    """
    for name, later in _LATER_VALUES.get((node.op_type, new.since_version), {}).items():
        if facts.attr(node, name) in later:
            return f"its {name}='{facts.attr(node, name)}' is newer"
    if not rewritten and (reason := _newer(node, new, old)) is not None:
        return reason
    bound: dict[str, str] = {}
    for values, formals in ((node.inputs, old.inputs), (node.outputs, old.outputs)):
        reason = _types(values, formals, old, bound)
        if reason is not None:
            return reason
    return None


def _newer(node: ir.Node, new: Any, old: Any) -> str | None:
    """Return which attribute or input of a node an older version lacks."""
    for name, attribute in node.attributes.items():
        if name in old.attributes or name not in new.attributes:
            continue
        if not _is_default(attribute, new.attributes[name]):
            return f"its attribute '{name}' is newer"
    if len(new.inputs) > len(old.inputs) and any(v is not None for v in node.inputs[len(old.inputs) :]):
        return f"its input '{new.inputs[len(old.inputs)].name}' is newer"
    return None


def _types(
    values: Sequence[ir.Value | None], formals: Sequence[Any], old: Any, bound: dict[str, str]
) -> str | None:
    """Return which of a node's values has a type that the old version does not take."""
    allowed = {c.type_param_str: frozenset(c.allowed_type_strs) for c in old.type_constraints}
    for k, value in enumerate(values):
        if value is None or not value.name or not formals:  # left out
            continue
        formal = formals[min(k, len(formals) - 1)]
        if k >= len(formals) and formal.option != onnx.defs.OpSchema.FormalParameterOption.Variadic:
            continue  # what a rewriting takes out
        found = _type(value)
        if found is None:
            return f"the type of '{value.name}' is not known"
        if found not in allowed.get(formal.type_str, {formal.type_str}):
            return f"it computes with {found}"
        same = formal.is_homogeneous or k < len(formals) - 1
        if same and formal.type_str in allowed and bound.setdefault(formal.type_str, found) != found:
            return f"it mixes {bound[formal.type_str]} and {found}"
    return None


def _type(value: ir.Value) -> str | None:
    """Return a value's type as ONNX writes it; None if it is not known."""
    kind: Any = value.type
    if kind is None:
        return None
    around = ""
    while isinstance(kind, (ir.SequenceType, ir.OptionalType)):
        around += "seq(" if isinstance(kind, ir.SequenceType) else "optional("
        kind = kind.elem_type
    if kind is None or not hasattr(kind, "dtype"):
        return None
    inner = "sparse_tensor" if isinstance(kind, ir.SparseTensorType) else "tensor"
    return f"{around}{inner}({kind.dtype.name.lower()}){')' * around.count('(')}"


def _is_default(attribute: ir.Attr, formal: Any) -> bool:
    """Whether an attribute says what is so without it."""
    default = formal.default_value
    if default.type == onnx.AttributeProto.UNDEFINED:
        return False
    value = onnx.helper.get_attribute_value(default)
    return bool(attribute.value == (value.decode() if isinstance(value, bytes) else value))

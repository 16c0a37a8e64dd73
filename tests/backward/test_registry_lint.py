"""Every input that the ONNX standard marks differentiable has a gradient, or a listed reason why not."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

import onnxplain.backward.ops  # noqa: F401  (fills the table)
from onnxplain.backward.registry import Category, lookup, registered

# Operators without a rule and without a body, and why none is needed.
REASONS = {
    "Scatter": "deprecated: raising the opset makes it ScatterElements",
}
YES = onnx.defs.OpSchema.DifferentiationCategory.Differentiable


def marked() -> list[onnx.defs.OpSchema]:
    """Operators of the standard with an input marked differentiable."""
    schemas = [s for s in onnx.defs.get_all_schemas() if s.domain == ""]
    return sorted(
        (s for s in schemas if any(i.differentiation_category == YES for i in s.inputs)), key=lambda s: s.name
    )


def has_gradient(schema: onnx.defs.OpSchema) -> bool:
    rule = lookup(ir.node(schema.name, [ir.Value(name="x")]))
    if rule is None:
        return bool(schema.has_function or schema.has_context_dependent_function)
    return rule.category is not Category.NONDIFFERENTIABLE


def test_the_standard_marks_inputs():
    assert len(marked()) > 100


@pytest.mark.parametrize("schema", marked(), ids=lambda s: s.name)
def test_differentiable_operators_have_a_gradient_or_a_reason(schema):
    assert has_gradient(schema) != (schema.name in REASONS)


def test_reasons_name_operators_of_the_standard():
    assert set(REASONS) <= {s.name for s in marked()}


def test_registered_standard_operators_exist():
    known = {s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""}
    assert {r.op_type for r in registered() if r.domain == ""} <= known


def test_operators_without_gradient_say_why():
    assert all(r.reason for r in registered() if r.category is Category.NONDIFFERENTIABLE)

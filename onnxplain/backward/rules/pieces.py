"""Pieces: activations that the exporter wrote out in several operators, each one function of one value."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.backward.emitter import Emitter
from onnxplain.backward.engine import check_entries
from onnxplain.backward.registry import Category, lookup, written
from onnxplain.backward.rules.base import propagate
from onnxplain.backward.unchosen import nothing_where_zero, unchosen
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts

__all__ = ["again", "interior", "interior_gradient", "multiple_of"]

_STOPS = (Category.ZERO, Category.NONDIFFERENTIABLE)


def interior(node: ir.Node, source: ir.Value) -> list[ir.Node]:
    """Return the nodes of a piece in forward order: those between its source and the node that closes it."""
    depends: dict[ir.Node, bool] = {}
    order: list[ir.Node] = []
    stack = [node]
    while stack:
        current = stack[-1]
        if current in depends:
            stack.pop()
            continue
        made_by = [v.producer() for v in current.inputs if v is not None and v is not source]
        waiting = [p for p in made_by if p is not None and p not in depends]
        if waiting:
            stack.extend(waiting)
            continue
        stack.pop()
        depends[current] = any(v is source for v in current.inputs) or any(
            p is not None and depends[p] for p in made_by
        )
        if depends[current]:
            order.append(current)
    return order


def again(
    op: Emitter, node: ir.Node, source: ir.Value, x: ir.Value, fixed: Collection[ir.Value] = ()
) -> ir.Value:
    """Write the nodes of a piece a second time, of another value than its source; returns what they make.

    Values that are fixed are not made again.
    """
    made = {source: x}
    for inner in interior(node, source):
        if inner.outputs[0] not in fixed:
            inputs = [None if v is None else made.get(v, v) for v in inner.inputs]
            made.update(zip(inner.outputs, op.clone(inner, inputs), strict=True))
    return made[node.outputs[0]]


def interior_gradient(op: Emitter, node: ir.Node, source: ir.Value, g: Any) -> Any:
    """Walk back through a piece by plain gradients; all its values have the shape of its source."""
    nodes = interior(node, source)
    steep = unchosen(nodes)
    inside = {source, *(o for n in nodes for o in n.outputs)}
    parts: dict[ir.Value, list[Any]] = {node.outputs[0]: [g]}
    for current in reversed(nodes):
        row = lookup(current)
        arrived = parts.pop(current.outputs[0], None)
        if arrived is None or row is None or row.category in _STOPS:
            continue
        total = arrived[0] if len(arrived) == 1 else op.Sum(*arrived)
        entries = propagate(op, NodeView.of(current), op.annotate(total, source))
        check_entries(current, entries, inside)
        for value, entry in zip(current.inputs, entries, strict=False):
            if value is not None and value in inside:
                part = written(entry)
                if part is not None and current in steep:
                    part = nothing_where_zero(op, part, total)
                if part is not None:
                    parts.setdefault(value, []).append(op.annotate(part, source))
    arrived = parts.get(source)
    if arrived is None:
        return op.zeros_like(source)
    return arrived[0] if len(arrived) == 1 else op.annotate(op.Sum(*arrived), source)


def multiple_of(value: ir.Value | None) -> tuple[ir.Value | None, Array]:
    """Return what a value is a constant multiple of, and the factor; None where it is a constant itself."""
    factor: Array = np.ones(())
    while value is not None and not facts.is_constant(value):
        node = value.producer()
        if node is None or node.domain not in ("", "ai.onnx"):
            break
        if node.op_type == "Neg":
            value, factor = node.inputs[0], -factor
            continue
        constants = [facts.constant(v) for v in node.inputs]
        if node.op_type == "Mul" and len([c for c in constants if c is not None]) == 1:
            k = 0 if constants[0] is None else 1
        elif node.op_type == "Div" and constants[1] is not None and constants[0] is None:
            k = 0
        else:
            break
        constant = constants[1 - k]
        assert constant is not None
        factor = factor * (constant if node.op_type == "Mul" else 1 / constant)
        value = node.inputs[k]
    return (None, factor) if value is None or facts.is_constant(value) else (value, factor)

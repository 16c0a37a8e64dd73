"""Differences in place of derivatives: ``(f(x) - f(x0)) / (x - x0)``, and what to do where both are equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.reference import reference_of, varies
from onnxplain.backward.registry import Category, lookup
from onnxplain.backward.rules.base import propagate, written
from onnxplain.backward.view import NodeView

__all__ = ["difference", "interior", "interior_gradient", "middle", "quotient", "tolerance"]

_STOPS = (Category.ZERO, Category.NONDIFFERENTIABLE)


def difference(op: Emitter, value: ir.Value) -> ir.Value:
    """Return ``x - x0``, written once."""
    key = ("difference", value)
    if key not in op.memo:
        op.memo[key] = op.annotate(op.Sub(value, reference_of(op, value)), value)
    made: ir.Value = op.memo[key]
    return made


def middle(op: Emitter, value: ir.Value) -> ir.Value:
    """Return ``(x + x0) / 2``, or the value itself where it does not vary."""
    if not varies(op, value):
        return value
    key = ("middle", value)
    if key not in op.memo:
        op.memo[key] = op.annotate(op.Mul(op.Add(value, reference_of(op, value)), 0.5), value)
    made: ir.Value = op.memo[key]
    return made


def tolerance(op: Emitter, x: ir.Value, eps: float | None) -> Any:
    """Return the difference up to which the gradient stands in: ``eps (1 + |x|)``.

    By default eps is the square root of the precision: there the rounding of ``f(x) - f(x0)``, which the
    quotient makes larger, and the error of the gradient are about equal.
    """
    if eps is None:
        eps = float(np.sqrt(np.finfo((x.dtype or ir.DataType.FLOAT).numpy()).eps))
    return 0.0 if eps == 0 else eps * (op.Abs(x) + 1.0)


def quotient(op: Emitter, dy: Any, dx: Any, near: Any, within: Any) -> Any:
    """Return ``dy / dx`` where ``|dx|`` is larger than ``within`` (and a number), else ``near``."""
    apart = op.Greater(op.Abs(dx), within)
    return op.Where(apart, op.Div(dy, op.Where(apart, dx, 1.0)), near)


def interior(op: Emitter, node: ir.Node, source: ir.Value) -> list[ir.Node]:
    """Return the nodes of a piece, in forward order: those that compute the node's output from its source."""
    found: dict[ir.Node, None] = {}
    stack: list[tuple[ir.Node, bool]] = [(node, False)]
    while stack:
        current, ready = stack.pop()
        if ready:
            found[current] = None
            continue
        if current in found:
            continue
        stack.append((current, True))
        for value in current.inputs:
            if value is None or value is source or not varies(op, value):
                continue
            producer = value.producer()
            if producer is not None and producer not in found:
                stack.append((producer, False))
    return list(found)


def interior_gradient(op: Emitter, node: ir.Node, source: ir.Value, g: Any) -> Any:
    """Walk back through a piece by plain gradients; all its values have the shape of its source."""
    parts: dict[ir.Value, list[Any]] = {node.outputs[0]: [g]}
    for current in reversed(interior(op, node, source)):
        row = lookup(current)
        arrived = parts.pop(current.outputs[0], None)
        if arrived is None or row is None or row.category in _STOPS:
            continue
        total = arrived[0] if len(arrived) == 1 else op.Sum(*arrived)
        entries = propagate(op, NodeView.of(current), op.annotate(total, source))
        for value, entry in zip(current.inputs, entries, strict=False):
            if value is not None and (value is source or varies(op, value)):
                part = written(entry)
                if part is not None:
                    parts.setdefault(value, []).append(op.annotate(part, source))
    arrived = parts.get(source)
    if arrived is None:
        return op.zeros_like(source)
    return arrived[0] if len(arrived) == 1 else op.annotate(op.Sum(*arrived), source)

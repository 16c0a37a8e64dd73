"""Differences in place of derivatives: ``(f(x) - f(x0)) / (x - x0)``, and what to do where both are equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.reference import reference_of, varies

__all__ = ["difference", "middle", "quotient", "tolerance"]


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

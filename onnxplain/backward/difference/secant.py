"""Differences in place of derivatives: ``(f(x) - f(x0)) / (x - x0)``, and what to do where both are equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.difference.reference_input import reference_of, varies, walk_dtype
from onnxplain.backward.emitter import Emitter
from onnxplain.graph import facts

__all__ = ["difference", "indistinct", "middle", "number", "quotient"]


#: The smallest numbers that are not denormal, where values are as small as that at all.
_LEAST = {
    ir.DataType.FLOAT: float(np.finfo(np.float32).smallest_normal),
    ir.DataType.DOUBLE: float(np.finfo(np.float64).smallest_normal),
}


def number(op: Emitter, value: ir.Value) -> ir.Value:
    """Return a value as floating-point numbers: truth values as 0 and 1."""
    if facts.is_float(value):
        return value
    made: ir.Value = op.once(
        ("number", value), lambda: op.annotate(op.Cast(value, to=int(walk_dtype(op))), value)
    )
    return made


def difference(op: Emitter, value: ir.Value) -> ir.Value:
    """Return ``x - x0`` in floating-point numbers, written once."""

    def written() -> ir.Value:
        return op.annotate(op.Sub(number(op, value), number(op, reference_of(op, value))), value)

    made: ir.Value = op.once(("difference", value), written)
    return made


def middle(op: Emitter, value: ir.Value) -> ir.Value:
    """Return ``(x + x0) / 2``, or the value itself where it does not vary."""
    if not varies(op, value):
        return number(op, value)

    def written() -> ir.Value:
        total = op.Add(number(op, value), number(op, reference_of(op, value)))
        return op.annotate(op.Mul(total, 0.5), value)

    made: ir.Value = op.once(("middle", value), written)
    return made


def indistinct(op: Emitter, x: ir.Value, dx: Any, y: Any, y0: Any, dy: Any, eps: float | None) -> Any:
    """Tell where the quotient is mostly rounding: ``|dx| <= eps (1 + |x|)`` and ``|dy| <= eps (|y| + |y0|)``.

    By default eps is the square root of the precision: there the rounding of ``f(x) - f(x0)``, which the
    quotient makes larger, and the error of the gradient are about equal.  A value that changes a lot over a
    short way (a logarithm of what is close to 0) is no such case.
    """
    if eps == 0:
        return None
    if eps is None:
        eps = float(np.sqrt(np.finfo((x.dtype or ir.DataType.FLOAT).numpy()).eps))
    short = op.LessOrEqual(op.Abs(dx), eps * (op.Abs(x) + 1.0))
    return op.And(short, op.LessOrEqual(op.Abs(dy), eps * (op.Abs(y) + op.Abs(y0))))


def quotient(op: Emitter, dy: Any, dx: Any, near: Any, close: Any = None) -> Any:
    """Return ``dy / dx``, and ``near`` where dx is 0 (or no number), or where ``close`` says so.

    Denormal numbers count as 0: some runtimes divide by 0 in their place.
    """
    apart = op.Greater(op.Abs(dx), _LEAST.get(dx.dtype, 0.0))
    if close is not None:
        apart = op.And(apart, op.Not(close))
    return op.Where(apart, op.Div(dy, op.Where(apart, dx, 1.0)), near)

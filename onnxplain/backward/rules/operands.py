"""What a branch of a relevance rule makes of an operand: its part of the input, the weight or the bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.rules.formula import Bound, Formula, Part
from onnxplain.backward.view import NodeView
from onnxplain.errors import UnsupportedRuleError
from onnxplain.graph import facts
from onnxplain.graph.build import fitting
from onnxplain.graph.traits import Is, is_a

__all__ = ["data_part", "part_of", "scaled"]


def data_part(formula: Formula, op: Emitter, node: NodeView, data: int, part: Part) -> Any:
    """Return a part of the input at a position."""
    x = node.input(data)
    if part == "one":
        return op.full_like(x, 1.0)
    if part in ("low", "high"):
        bound = formula.low if part == "low" else formula.high
        assert bound is not None
        return op.expand_like(_bound(op, node, data, bound), x)
    return part_of(op, x, part, formula.gamma, 1.0)


def _bound(op: Emitter, node: NodeView, data: int, bound: Bound) -> Any:
    """Return a bound as a constant that broadcasts to the input: several values go along its channels."""
    dtype = node.input(data).dtype or ir.DataType.FLOAT
    array = np.asarray(fitting(bound, dtype), dtype.numpy()).reshape(-1)
    if array.size == 1:
        return op.const(array.reshape(()))
    rank = node.rank(data)
    axis = 1 if is_a(node.source, Is.SPATIAL) else rank - 1
    if rank > 1 and _features_first(node, data):
        axis = rank - 2
    length = facts.static_dim(node.input(data), axis)
    if length is not None and length != array.size:
        raise UnsupportedRuleError(
            f"low and high have {array.size} values, but the input of {node.label} has {length} channels; "
            "give one per channel, or one number for all"
        )
    return op.const(array.reshape([-1 if k == axis else 1 for k in range(rank)]))


def _features_first(node: NodeView, data: int) -> bool:
    """Tell whether a product sums over the last axis but one of its input: weights on the left, say."""
    if node.op_type not in ("Gemm", "MatMul"):
        return False
    return not node.int("transB", 0) if data else bool(node.int("transA", 0))


def part_of(op: Emitter, value: ir.Value, part: Part, gamma: float, factor: float) -> Any:
    """Return p such that factor times p is the part of factor times the value (Gemm's alpha and beta)."""
    if part == "same":
        return value
    key = ("part", value, part, gamma if part in ("up", "down") else 0.0, factor)
    return op.once(key, lambda: _write_part(op, value, part, gamma, factor))


def _write_part(op: Emitter, value: ir.Value, part: Part, gamma: float, factor: float) -> Any:
    zero = np.zeros((), (value.dtype or ir.DataType.FLOAT).numpy())
    up = factor >= 0
    if part == "zero":
        return op.zeros_like(value)
    if part == "positive":
        return op.Max(value, zero) if up else op.Min(value, zero)
    if part == "negative":
        return op.Min(value, zero) if up else op.Max(value, zero)
    if part in ("up", "down"):
        clipped = op.Max(value, zero) if up == (part == "up") else op.Min(value, zero)
        return op.Add(value, op.Mul(clipped, gamma))
    if part == "square":
        squared = op.Mul(value, value)
        return squared if factor == 1.0 else op.Mul(squared, factor)
    assert part == "one", part
    return op.full_like(value, 1.0 / factor if factor else 0.0)


def scaled(formula: Formula, part: Part, sign: float) -> float:
    """Return what a branch makes of a weight that is +1 or -1 (or, all equal, counts as one)."""
    if "weight" in formula.zero_params:
        return 0.0
    clipped = {"positive": max(sign, 0.0), "negative": min(sign, 0.0)}
    up = sign + formula.gamma * max(sign, 0.0)
    down = sign + formula.gamma * min(sign, 0.0)
    return {**clipped, "up": up, "down": down, "one": 1.0, "square": 1.0}.get(part, sign)

"""Activations, with a bias or without."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from onnxplain.graph.decomposition import contrib, inputs, number
from onnxplain.graph.writer import Writer


def gelu(op: Writer, x: Any) -> Any:
    """``x Phi(x)``."""
    return op.Mul(op.Mul(x, 0.5), op.Add(op.Erf(op.Mul(x, math.sqrt(0.5))), 1.0))


@contrib("Gelu", "BiasGelu")
def bias_gelu(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """``gelu(x + b)``."""
    x, bias = inputs(node, 2)
    return [gelu(op, x if bias is None else op.Add(x, bias))]


@contrib("FastGelu")
def fast_gelu(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """Gelu by tanh, of ``x + b``."""
    x, bias = inputs(node, 2)
    x = x if bias is None else op.Add(x, bias)
    cubic = op.Mul(x, op.Add(op.Mul(op.Mul(x, x), 0.044715), 1.0))
    return [op.Mul(op.Mul(x, 0.5), op.Add(op.Tanh(op.Mul(cubic, math.sqrt(2 / math.pi))), 1.0))]


@contrib("QuickGelu")
def quick_gelu(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """``x sigmoid(alpha x)``."""
    (x,) = inputs(node, 1)
    return [op.Mul(x, op.Sigmoid(op.Mul(x, number(node, "alpha", 1.702))))]

"""Convolutions and matrix products with something fused to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.decomposition import contrib, inputs, number, whole
from onnxplain.graph.writer import NotDecomposedError, Writer

_WINDOW = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")


def _activate(op: Writer, x: Any, name: str, parameters: Sequence[float]) -> Any:
    first, second = [*parameters, None, None][:2]
    if name in ("", "Identity"):
        return x
    if name in ("Relu", "Tanh", "Sigmoid", "Softplus", "Softsign"):
        return op.emit(name, [x])
    if name in ("LeakyRelu", "Elu", "ThresholdedRelu"):
        return op.emit(name, [x], {"alpha": first})
    if name == "HardSigmoid":
        return op.HardSigmoid(x, alpha=first, beta=second)
    if name == "Clip":
        return op.Clip(x, first, second)
    raise NotDecomposedError(f"its fused activation '{name}' is unknown")


@contrib("FusedConv")
def fused_conv(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """``act(conv(X, W, B) + Z)``."""
    x, w, b, z = inputs(node, 4)
    made = op.Conv(x, w, b, **{k: facts.attr(node, k) for k in _WINDOW})
    if z is not None:
        made = op.Add(made, z)
    parameters = facts.attr(node, "activation_params", ())
    assert isinstance(parameters, tuple)
    return [_activate(op, made, str(facts.attr(node, "activation", "")), parameters)]


@contrib("FusedGemm")
def fused_gemm(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """``act(alpha A' B' + beta C)``."""
    a, b, c = inputs(node, 3)
    made = op.Gemm(a, b, c, **{k: facts.attr(node, k) for k in ("alpha", "beta", "transA", "transB")})
    given = [facts.attr(node, f"activation_{k}") for k in ("alpha", "beta")]
    parameters = [p for p in given if isinstance(p, float)]
    return [_activate(op, made, str(facts.attr(node, "activation", "")), parameters)]


@contrib("FusedMatMul", "TransposeMatMul")
def fused_matmul(op: Writer, node: ir.Node) -> Sequence[ir.Value | None]:
    """``alpha A' B'``, where ' may move the first axis behind the batch and swap the last two."""
    a, b = inputs(node, 2)
    a = _turned(op, a, whole(node, "transBatchA", 0), whole(node, "transA", 0))
    b = _turned(op, b, whole(node, "transBatchB", 0), whole(node, "transB", 0))
    alpha = number(node, "alpha", 1.0)
    made = op.MatMul(a, b)
    return [made if alpha == 1.0 else op.Mul(made, alpha)]


def _turned(op: Writer, x: ir.Value, batch: int, swap: int) -> Any:
    rank = facts.rank(x)
    if not batch and not swap:
        return x
    if rank is None:
        raise NotDecomposedError(f"the number of axes of '{x.name}' is unknown")
    order = list(range(rank))
    if batch:
        order = [*order[1:-1], 0, rank - 1]
    if swap and rank > 1:
        order[-2:] = [order[-1], order[-2]]
    return op.Transpose(x, perm=order)

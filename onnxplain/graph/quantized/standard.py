"""The quantised operators of the standard, and those of com.microsoft, in floating-point operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.quantized.arithmetic import RANGES, QuantizedWriter, fake_quantized, measured
from onnxplain.graph.recurrent import write_recurrent
from onnxplain.graph.writer import NotDecomposedError

__all__ = ["QUANTIZED"]

Decomposition: TypeAlias = "Callable[[QuantizedWriter, ir.Node], Sequence[ir.Value]]"

#: By domain and operator: what writes it out, and returns one float value per output.
QUANTIZED: dict[tuple[str, str], Decomposition] = {}
_MS = "com.microsoft"


def _writes(*op_types: str, domain: str = "") -> Callable[[Decomposition], Decomposition]:
    def register(function: Decomposition) -> Decomposition:
        QUANTIZED.update({(domain, op_type): function for op_type in op_types})
        return function

    return register


def _inputs(node: ir.Node, count: int) -> list[Any]:
    return [*node.inputs, *[None] * (count - len(node.inputs))][: max(count, len(node.inputs))]


def _integer_type(node: ir.Node, zero_point: ir.Value | None) -> ir.DataType:
    if zero_point is not None and zero_point.dtype is not None:
        return zero_point.dtype
    made = facts.attr(node, "output_dtype", 0)
    assert isinstance(made, int)
    return ir.DataType(made) if made else node.outputs[0].dtype or ir.DataType.UINT8


def _axis(node: ir.Node) -> int:
    if facts.attr(node, "block_size", 0):
        raise NotDecomposedError("its scales go by blocks; quantise by tensor or by channel")
    axis = facts.attr(node, "axis", 1)
    assert isinstance(axis, int)
    return axis


@_writes("QuantizeLinear")
@_writes("QuantizeLinear", domain=_MS)
def quantize_linear(op: QuantizedWriter, node: ir.Node) -> Sequence[ir.Value]:
    """``saturate(round(x / s) + z)``."""
    x, scale, zero_point = _inputs(node, 3)
    return [op.quantize(op.float_of(x), scale, zero_point, _integer_type(node, zero_point), _axis(node))]


@_writes("DequantizeLinear")
@_writes("DequantizeLinear", domain=_MS)
def dequantize_linear(op: QuantizedWriter, node: ir.Node) -> Sequence[ir.Value]:
    """``(x - z) s``."""
    x, scale, zero_point = _inputs(node, 3)
    if x.dtype not in (*RANGES, ir.DataType.INT32) and x not in op.floats:
        raise NotDecomposedError("it dequantises another type than integers")
    return [op.dequantize(x, scale, zero_point, _axis(node))]


@_writes("DynamicQuantizeLinear")
def dynamic_quantize_linear(op: QuantizedWriter, node: ir.Node) -> Sequence[ir.Value]:
    """Measure the range (through which no gradient flows), then quantise to uint8."""
    return measured(op, op.float_of(_inputs(node, 1)[0]))


def _product(op: QuantizedWriter, a: ir.Value, b: ir.Value, a_zero: Any, b_zero: Any) -> ir.Value:
    """Product of centred matrices; a zero point per row or per column is a vector."""
    left = op.centred(a, a_zero, -2)
    made: ir.Value = op.MatMul(left, op.centred(b, b_zero, -1))
    return made


@_writes("MatMulInteger")
def matmul_integer(op: QuantizedWriter, node: ir.Node) -> Sequence[ir.Value]:
    """Multiply the centred matrices."""
    a, b, a_zero, b_zero = _inputs(node, 4)
    return [_product(op, a, b, a_zero, b_zero)]


@_writes("ConvInteger")
def conv_integer(op: QuantizedWriter, node: ir.Node) -> Sequence[ir.Value]:
    """Convolve centred values; the border is the zero point, which is 0 here."""
    x, w, x_zero, w_zero = _inputs(node, 4)
    return [op.Conv(op.centred(x, x_zero), op.centred(w, w_zero, 0), **_attrs(node))]


@_writes("QLinearMatMul")
def qlinear_matmul(op: QuantizedWriter, node: ir.Node) -> Sequence[ir.Value]:
    """Multiply, then requantise by ``sa sb / sy``."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = _inputs(node, 8)
    ratio = op.Div(op.Mul(op.along(a_scale, -2, a), op.along(b_scale, -1, b)), op.along(y_scale, -2, a))
    product = op.Mul(_product(op, a, b, a_zero, b_zero), ratio)
    return [op.quantize(product, None, y_zero, _integer_type(node, y_zero))]


@_writes("QLinearConv")
@_writes("QLinearConv", domain=_MS)
def qlinear_conv(op: QuantizedWriter, node: ir.Node) -> Sequence[ir.Value]:
    """Convolve, then requantise by ``sx sw / sy``, where ``sw`` may differ by channel."""
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias = _inputs(node, 9)
    if facts.attr(node, "channels_last", 0):
        raise NotDecomposedError("its channels are the last axis; export it with channels second")
    rank = facts.rank(w)
    if rank is None:
        raise NotDecomposedError("the shape of its weight is unknown")
    ratio = op.Div(op.Mul(op.along(x_scale, 0, x_scale), w_scale), y_scale)
    if facts.static_shape(w_scale) not in ((), (1,)):
        ratio = op.Reshape(ratio, [-1, *[1] * (rank - 2)])
    bias = None if bias is None else op.float_of(bias)
    made = op.Conv(op.centred(x, x_zero), op.centred(w, w_zero, 0), bias, **_attrs(node))
    return [op.quantize(op.Mul(made, ratio), None, y_zero, _integer_type(node, y_zero))]


def _attrs(node: ir.Node) -> dict[str, Any]:
    names = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    return {name: a.value for name, a in node.attributes.items() if name in names}


@_writes("QLinearAdd", "QLinearMul", domain=_MS)
def qlinear_binary(op: QuantizedWriter, node: ir.Node) -> Sequence[ir.Value]:
    """Add or multiply the real numbers."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = _inputs(node, 8)
    left, right = op.dequantize(a, a_scale, a_zero), op.dequantize(b, b_scale, b_zero)
    made = op.emit(node.op_type.removeprefix("QLinear"), [left, right])
    return [op.quantize(made, y_scale, y_zero, _integer_type(node, y_zero or a))]


@_writes("QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", "QLinearAveragePool", domain=_MS)
@_writes("QLinearGlobalAveragePool", "QLinearReduceMean", domain=_MS)
def qlinear_unary(op: QuantizedWriter, node: ir.Node) -> Sequence[ir.Value]:
    """Apply the operator to the real numbers."""
    x, x_scale, x_zero, y_scale, y_zero = _inputs(node, 5)
    if facts.attr(node, "channels_last", 0):
        raise NotDecomposedError("its channels are the last axis; export it with channels second")
    attrs = {k: a.value for k, a in node.attributes.items() if k not in ("channels_last", "opset")}
    real: list[Any] = [op.dequantize(x, x_scale, x_zero)]
    if node.op_type == "QLinearReduceMean" and "axes" in attrs:
        real.append(np.array(attrs.pop("axes"), np.int64))
    made = op.emit(node.op_type.removeprefix("QLinear"), real, attrs)
    return [op.quantize(made, y_scale, y_zero, _integer_type(node, y_zero or x))]


@_writes("QLinearConcat", domain=_MS)
def qlinear_concat(op: QuantizedWriter, node: ir.Node) -> Sequence[ir.Value]:
    """Join real numbers of different scales."""
    y_scale, y_zero, *rest = node.inputs
    assert y_scale is not None
    parts = []
    for k in range(0, len(rest), 3):
        x, scale = rest[k], rest[k + 1]
        assert x is not None
        assert scale is not None
        parts.append(op.dequantize(x, scale, rest[k + 2] if k + 2 < len(rest) else None))
    made = op.Concat(*parts, axis=facts.attr(node, "axis", 0))
    return [op.quantize(made, y_scale, y_zero, _integer_type(node, y_zero))]


@_writes("QGemm", domain=_MS)
def qgemm(op: QuantizedWriter, node: ir.Node) -> Sequence[ir.Value]:
    """``alpha A' B' + C`` of the centred integers, scaled; requantised where an output scale is given."""
    a, a_scale, a_zero, b, b_scale, b_zero, c, y_scale, y_zero = _inputs(node, 9)
    flip_a, flip_b = facts.attr(node, "transA", 0), facts.attr(node, "transB", 0)
    left, right = op.centred(a, a_zero), op.centred(b, b_zero, 0 if flip_b else 1)
    alpha = facts.attr(node, "alpha", 1.0)
    assert isinstance(alpha, float)
    made = op.Gemm(left, right, None if c is None else op.float_of(c), transA=flip_a, transB=flip_b)
    factor = op.Mul(op.Mul(op.along(a_scale, 0, a), b_scale), alpha)
    if y_scale is None:
        return [op.Mul(made, factor)]
    ratio = op.Div(factor, y_scale)
    return [op.quantize(op.Mul(made, ratio), None, y_zero, _integer_type(node, y_zero))]


@_writes("MatMulIntegerToFloat", domain=_MS)
def matmul_integer_to_float(op: QuantizedWriter, node: ir.Node) -> Sequence[ir.Value]:
    """``sa sb (A - a0) (B - b0) + bias``."""
    a, b, a_scale, b_scale, a_zero, b_zero, bias = _inputs(node, 7)
    scale = op.Mul(op.along(a_scale, -2, a), b_scale)
    made = op.Mul(_product(op, a, b, a_zero, b_zero), scale)
    return [made if bias is None else op.Add(made, bias)]


@_writes("DynamicQuantizeMatMul", domain=_MS)
def dynamic_quantize_matmul(op: QuantizedWriter, node: ir.Node) -> Sequence[ir.Value]:
    """Quantise A by its own range, multiply, and scale back."""
    a, b, b_scale, b_zero, bias = _inputs(node, 5)
    quantized, a_scale, a_zero = measured(op, op.float_of(a))
    made = op.MatMul(op.Sub(quantized, a_zero), op.centred(b, b_zero, -1))
    made = op.Mul(made, op.Mul(a_scale, b_scale))
    return [made if bias is None else op.Add(made, bias)]


@_writes("DynamicQuantizeLSTM", domain=_MS)
def dynamic_quantize_lstm(op: QuantizedWriter, node: ir.Node) -> Sequence[ir.Value]:
    """Quantise the input, and at each step the state, by their own range."""
    x, w, r, b, lens, h, c, p, w_scale, w_zero, r_scale, r_zero = _inputs(node, 12)
    weights = [_stacked(op, *v) for v in ((w, w_scale, w_zero), (r, r_scale, r_zero))]
    return write_recurrent(op, node, [x, *weights, b, lens, h, c, p], fake_quantized)


def _stacked(op: QuantizedWriter, weight: ir.Value, scale: ir.Value, zero: ir.Value | None) -> ir.Value:
    """Turn weights (directions, in, out) round as LSTM has them; scales go by direction or by output."""
    arrays = [facts.constant(v) for v in (weight, scale, zero)]
    if arrays[0] is None or arrays[1] is None or (zero is not None and arrays[2] is None):
        raise NotDecomposedError("its weights are computed, not stored")
    values, factor, shift = (np.zeros(1) if a is None else a.astype(np.float64) for a in arrays)
    factor, shift = (v.reshape(v.shape[0], 1, -1) for v in (factor, shift))
    real = ((values - shift) * factor).swapaxes(1, 2)
    return op.initializer(
        np.ascontiguousarray(real).astype(op.dtype.numpy()), op.fresh(f"{weight.name}/float")
    )

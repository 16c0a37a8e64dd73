"""Quantising and dequantising, written in floating-point operators.

A quantised tensor is held as floats that happen to be integers, so that whatever moves it (Reshape, Concat,
MaxPool...) works on it unchanged.  Rounding passes gradients straight through; saturation does not, except
where the range was measured on the very values (DynamicQuantizeLinear).  The gradient is that of the real
numbers which the integers stand for.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.facts import GRADIENT_KEY, RANGE_KEY
from onnxplain.graph.writer import NotDecomposedError, Writer

__all__ = ["RANGES", "QuantizedWriter", "fake_quantized", "measured"]

#: Smallest and largest number of each type that values are quantised to.
RANGES = {
    ir.DataType.UINT8: (0, 255),
    ir.DataType.INT8: (-128, 127),
    ir.DataType.UINT16: (0, 65535),
    ir.DataType.INT16: (-32768, 32767),
    ir.DataType.UINT4: (0, 15),
    ir.DataType.INT4: (-8, 7),
}


def marked(value: Any, gradient: str) -> Any:
    """Let the node that makes a value name its gradient itself."""
    node = value.producer()
    if node is not None:
        node.metadata_props[GRADIENT_KEY] = gradient
    return value


def _range_end(value: Any) -> Any:
    """Mark what finds an end of a range: no gradient flows through it, and it looks at the whole tensor."""
    node = value.producer()
    if node is not None:
        node.metadata_props[RANGE_KEY] = ""
    return marked(value, "stop")


def measured(op: Any, x: Any) -> tuple[Any, Any, Any]:
    """Quantise to uint8 by the range of the values, through which no gradient flows.

    Returns
    -------
    tuple of ir.Value
        The integers (as floats), the scale and the zero point.
    """
    low = op.Min(_range_end(op.ReduceMin(x, keepdims=0)), 0.0)
    high = op.Max(_range_end(op.ReduceMax(x, keepdims=0)), 0.0)
    width = op.Sub(high, low)
    scale = op.Where(op.Equal(width, 0.0), 1.0, op.Div(width, 255.0))
    zero_point = op.Round(op.Clip(op.Div(op.Neg(low), scale), 0.0, 255.0))
    shifted = op.Add(marked(op.Round(op.Div(x, scale)), "straight_through"), zero_point)
    return marked(op.Clip(shifted, 0.0, 255.0), "straight_through"), scale, zero_point


def fake_quantized(op: Any, x: Any) -> Any:
    """Quantise by the range of the values, and come back to real numbers."""
    quantized, scale, zero_point = measured(op, x)
    return op.Mul(op.Sub(quantized, zero_point), scale)


class QuantizedWriter(Writer):
    """A writer that knows which floats stand for which quantised values.

    Parameters
    ----------
    graph, opset
        Where to write, and in which version of the standard.
    dtype
        Floating-point type to compute in.
    """

    def __init__(self, graph: ir.Graph, opset: int, dtype: ir.DataType) -> None:
        super().__init__(graph, opset)
        self.dtype = dtype
        self.floats: dict[ir.Value, ir.Value] = {}
        self._weights: dict[tuple[ir.Value, bytes], ir.Value] = {}

    def float_of(self, value: ir.Value) -> ir.Value:
        """Return a value as floats."""
        held = self.floats.get(value)
        if held is not None:
            return held
        if facts.is_float(value):
            return value
        if facts.is_constant(value):
            return self.weight(value, None)
        made = cast("ir.Value", self.Cast(value, to=int(self.dtype)))
        self.floats[value] = made
        return made

    def weight(self, value: ir.Value, zero_point: Array | None) -> ir.Value:
        """Return a constant as floats, its zero point (which broadcasts) taken off; it is made only once."""
        key = (value, b"" if zero_point is None else zero_point.tobytes() + str(zero_point.shape).encode())
        if key not in self._weights:
            content = facts.constant(value)
            assert content is not None
            array = content.astype(self.dtype.numpy())
            if zero_point is not None:
                array -= zero_point.astype(array.dtype)
            self._weights[key] = self.initializer(array, self.fresh(f"{value.name}/float"))
        return self._weights[key]

    def along(self, x: ir.Value, axis: int, like: ir.Value) -> ir.Value:
        """Give a vector of parameters the axis that it belongs to."""
        if facts.rank(x) in (0, None):
            return x
        if facts.static_shape(x) == (1,):
            return cast("ir.Value", self.Reshape(x, np.array([], np.int64)))
        rank = facts.rank(like)
        if rank is None:
            raise NotDecomposedError(f"the number of axes of '{like.name}' is unknown")
        after = rank - 1 - axis % rank
        return cast("ir.Value", self.Reshape(x, [-1, *[1] * after])) if after else x

    def zero_point(self, value: ir.Value | None) -> ir.Value | None:
        """Return a zero point as floats, None if it is zero."""
        if value is None:
            return None
        known = facts.constant(value)
        if known is not None and not known.astype(np.float64).any():
            return None
        return self.float_of(value)

    def centred(self, x: ir.Value, zero_point: ir.Value | None, axis: int | None = None) -> ir.Value:
        """Return the floats of a quantised value with the zero point taken off."""
        shift = self.zero_point(zero_point)
        if shift is None or zero_point is None:
            return self.float_of(x)
        if axis is not None:
            shift = self.along(shift, axis, x)
        known = facts.constant(shift)
        if facts.is_constant(x) and not facts.is_float(x) and known is not None:
            return self.weight(x, known)
        return cast("ir.Value", self.Sub(self.float_of(x), shift))

    def dequantize(
        self, x: ir.Value, scale: ir.Value, zero_point: ir.Value | None, axis: int | None = None
    ) -> ir.Value:
        """Return the real numbers that integers stand for."""
        centred = self.centred(x, zero_point, axis)
        scale = self.float_of(scale) if axis is None else self.along(self.float_of(scale), axis, x)
        return cast("ir.Value", self.Mul(centred, scale))

    def quantize(
        self,
        x: ir.Value,
        scale: ir.Value | None,
        zero_point: ir.Value | None,
        dtype: ir.DataType,
        axis: int | None = None,
    ) -> ir.Value:
        """Return the integers that stand for real numbers (divided by the scale before, if it is None)."""
        if dtype not in RANGES:
            raise NotDecomposedError(f"it quantises to {dtype.name.lower()}; use integers of 4, 8 or 16 bits")
        low, high = RANGES[dtype]
        if scale is not None:
            x = self.Div(x, scale if axis is None else self.along(scale, axis, x))
        q = marked(self.Round(x), "straight_through")
        shift = self.zero_point(zero_point)
        if shift is not None:
            q = self.Add(q, shift if axis is None else self.along(shift, axis, x))
        return cast("ir.Value", marked(self.Clip(q, float(low), float(high)), "saturating"))

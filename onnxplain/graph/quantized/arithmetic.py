"""Quantising and dequantising, written in floating-point operators.

A quantised tensor is held as floats that happen to be integers, so that whatever moves it (Reshape, Concat,
MaxPool...) works on it unchanged.  Rounding passes gradients straight through; saturation does not, except where
the range was measured on the very values (DynamicQuantizeLinear).  The gradient is that of the real numbers which
the integers stand for.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.facts import GRADIENT_KEY
from onnxplain.graph.writer import NotDecomposedError, Writer

__all__ = ["RANGES", "QuantizedWriter"]

#: Smallest and largest number of each type that values are quantised to.
RANGES = {
    ir.DataType.UINT8: (0, 255),
    ir.DataType.INT8: (-128, 127),
    ir.DataType.UINT16: (0, 65535),
    ir.DataType.INT16: (-32768, 32767),
    ir.DataType.UINT4: (0, 15),
    ir.DataType.INT4: (-8, 7),
}


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

    def marked(self, gradient: str, op_type: str, *inputs: Any, **attrs: Any) -> ir.Value:
        """Write a node that names its gradient itself."""
        made = cast("ir.Value", self.emit(op_type, inputs, attrs))
        node = made.producer()
        if node is not None:
            node.metadata_props[GRADIENT_KEY] = gradient
        return made

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
        """Return a constant as floats, its zero point (which broadcasts) taken off; made once for all uses."""
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
        """Return the integers that stand for real numbers (already divided by the scale, if None is given)."""
        if dtype not in RANGES:
            raise NotDecomposedError(f"it quantises to {dtype.name.lower()}; use integers of 4, 8 or 16 bits")
        low, high = RANGES[dtype]
        if scale is not None:
            x = self.Div(x, scale if axis is None else self.along(scale, axis, x))
        q = self.marked("straight_through", "Round", x)
        shift = self.zero_point(zero_point)
        if shift is not None:
            q = self.Add(q, shift if axis is None else self.along(shift, axis, x))
        return self.marked("saturating", "Clip", q, float(low), float(high))

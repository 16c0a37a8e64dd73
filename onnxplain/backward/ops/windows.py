"""Where the windows of convolutions and poolings lie, known before running or computed while running."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.view import NodeView
from onnxplain.graph import facts

__all__ = ["Windows"]


@dataclass(frozen=True)
class Windows:
    """The windows that a node slides over the spatial axes of its input.

    Attributes
    ----------
    node
        Conv, or a pooling.
    kernel, strides, dilations
        One number per spatial axis.
    """

    node: NodeView
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]

    @classmethod
    def of(cls, node: NodeView, kernel: tuple[int, ...]) -> Windows:
        """Read the attributes."""
        ones = (1,) * len(kernel)
        return cls(node, kernel, node.ints("strides", ones), node.ints("dilations", ones))

    @property
    def n(self) -> int:
        """Number of spatial axes."""
        return len(self.kernel)

    @property
    def reach(self) -> tuple[int, ...]:
        """Extent of the dilated kernel."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilations, self.kernel, strict=True))

    @property
    def is_same(self) -> bool:
        """Whether the pads depend on the input's size."""
        return self.node.str("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER")

    def begin(self, op: Emitter) -> list[int] | list[ir.Value]:
        """Return the pads before each axis: numbers where known, else int64 (1,) values."""
        auto = self.node.str("auto_pad", "NOTSET")
        if auto == "VALID":
            return [0] * self.n
        if not self.is_same:
            return list(self.node.ints("pads", (0,) * 2 * self.n)[: self.n])
        lower = auto == "SAME_LOWER"
        out: list[Any] = []
        for k in range(self.n):
            size, made = self._size(self.node.x, k), self._size(self.node.y, k)
            if size is not None and made is not None:
                total = max((made - 1) * self.strides[k] + self.reach[k] - size, 0)
                out.append((total + 1) // 2 if lower else total // 2)
                continue
            last = op.Mul(op.Sub(op.dim(self.node.y, k + 2), 1), self.strides[k])
            gap = op.Max(op.Sub(op.Add(last, self.reach[k]), op.dim(self.node.x, k + 2)), 0)
            out.append(op.Div(op.Add(gap, 1) if lower else gap, 2))
        if any(isinstance(o, ir.Value) for o in out):
            return [o if isinstance(o, ir.Value) else op.const([o]) for o in out]
        return out

    def fit(self, op: Emitter, full: ir.Value) -> ir.Value:
        """Cut (or stretch with zeros) a result without pads to the input's spatial size.

        ``full`` covers ``(o - 1) stride + reach`` of the padded input, counted from its first element.
        """
        begin = self.begin(op)
        axes = list(range(2, 2 + self.n))
        sizes = [self._size(self.node.x, k) for k in range(self.n)]
        made = [self._size(self.node.y, k) for k in range(self.n)]
        numbers = [b for b in begin if isinstance(b, int)]
        known, outs = ([n for n in lengths if n is not None] for lengths in (sizes, made))
        if len(numbers) == len(known) == len(outs) == self.n:
            covered = [(m - 1) * s + r for m, s, r in zip(outs, self.strides, self.reach, strict=True)]
            need = [b + size for b, size in zip(numbers, known, strict=True)]
            after = [max(n - c, 0) for n, c in zip(need, covered, strict=True)]
            if any(after):
                full = op.Pad(full, np.array([0] * (self.n) + after), None, axes)
            if any(begin) or any(n < c for n, c in zip(need, covered, strict=True)):
                full = op.Slice(full, np.array(begin, np.int64), np.array(need, np.int64), axes)
            return op.annotate(full, self.node.x)
        start = op.concat(begin)
        stop = op.Add(start, op.Shape(self.node.x, start=2))
        spare = [s + r for s, r in zip(self.strides, self.reach, strict=True)]
        longer = op.Pad(full, np.array([0] * self.n + spare), None, axes)
        return op.annotate(op.Slice(longer, start, stop, axes), self.node.x)

    def divisors(self, op: Emitter, include_pad: bool, dtype: ir.DataType) -> ir.Value:
        """Return how many elements each average divides by, shape (out...) over the spatial axes."""
        auto = self.node.str("auto_pad", "NOTSET")
        pads = (0,) * 2 * self.n if auto != "NOTSET" else self.node.ints("pads", (0,) * 2 * self.n)
        begin = self.begin(op)
        total: Any = None
        for k in range(self.n):
            made, size = op.dim(self.node.y, k + 2), op.dim(self.node.x, k + 2)
            first = op.Sub(op.Mul(op.indices(made), self.strides[k]), begin[k])
            taps = op.Add(op.Unsqueeze(first, [1]), np.arange(self.kernel[k]) * self.dilations[k])
            if include_pad and not self.is_same:
                low, high = op.const(-pads[k]), op.Add(size, pads[self.n + k])
            elif include_pad:  # automatic pads surround every window
                low, high = op.const(-(1 << 40)), op.const(1 << 40)
            else:
                low, high = op.const(0), size
            inside = op.And(op.GreaterOrEqual(taps, low), op.Less(taps, high))
            count = op.ReduceSum(op.Cast(inside, to=int(dtype)), [1], keepdims=0)
            shape = [1] * self.n
            shape[k] = -1
            count = op.Reshape(count, shape)
            total = count if total is None else op.Mul(total, count)
        assert isinstance(total, ir.Value)
        return total

    def along(self, op: Emitter, k: int, x: ir.Value) -> ir.Value:
        """Pool the maxima of one spatial axis alone; the axes behind it are pooled already."""
        attrs: dict[str, Any] = {"ceil_mode": self.node.int("ceil_mode", 0)}
        for name, numbers in (
            ("kernel_shape", self.kernel),
            ("strides", self.strides),
            ("dilations", self.dilations),
        ):
            attrs[name] = [number if j == k else 1 for j, number in enumerate(numbers)]
        pads = self.node.optional_ints("pads")
        if pads is not None:
            attrs["pads"] = [p if j % self.n == k else 0 for j, p in enumerate(pads)]
        auto = self.node.str("auto_pad", "NOTSET")
        if auto != "NOTSET":
            attrs["auto_pad"] = auto
        return self._partly(op.MaxPool(x, **attrs), k)

    def taps(self, op: Emitter, k: int, x: ir.Value, made: ir.Value, fill: float) -> list[ir.Value]:
        """Return the first element of each window along an axis, the second ones...; ``fill`` outside.

        Parameters
        ----------
        op
            Where to write.
        k
            The spatial axis.
        x, made
            What windows slide over, and what they make, which is as long as there are windows.
        fill
            What lies outside.
        """
        axis, begin, (size, count) = k + 2, self.begin(op)[k], self._lengths(k)
        stride, reach = self.strides[k], self.reach[k]
        last: int | ir.Value
        if size is not None and count is not None and isinstance(begin, int):
            last = (count - 1) * stride
            after = max(last + reach - begin - size, 0)
            if begin or after:
                x = op.Pad(x, np.array([begin, after]), fill, [axis])
        else:
            last = op.Mul(op.Sub(op.dim(made, axis), 1), stride)
            x = op.Pad(x, op.concat([begin, stride + reach]), fill, [axis])
        starts = [j * self.dilations[k] for j in range(self.kernel[k])]
        stops = [last + j + 1 if isinstance(last, int) else op.Add(last, j + 1) for j in starts]
        return [
            op.annotate(op.slice(x, axis, start, stop, stride), made)
            for start, stop in zip(starts, stops, strict=True)
        ]

    def put(self, op: Emitter, k: int, parts: Sequence[ir.Value], x: ir.Value) -> ir.Value:
        """Add up numbers at the places of :meth:`taps`: its adjoint.

        Parameters
        ----------
        op
            Where to write.
        k
            The spatial axis.
        parts
            What goes to the first element of each window, to the second ones...
        x
            What the windows slide over.
        """
        axis, begin, (size, count) = k + 2, self.begin(op)[k], self._lengths(k)
        stride, most = self.strides[k], (self.reach[k] - 1) // self.strides[k]
        lanes: dict[int, Any] = {}  # places are lane + stride * (window + shift)
        for j, part in enumerate(parts):
            shift, lane = divmod(j * self.dilations[k], stride)
            part = op.Pad(part, np.array([shift, most - shift]), None, [axis]) if most else part
            lanes[lane] = op.Add(lanes[lane], part) if lane in lanes else part
        full = lanes[0]
        length = None if count is None else (count + most) * stride
        if stride > 1:
            empty = None if len(lanes) == stride else op.zeros_like(full)
            wide = [op.Unsqueeze(lanes.get(lane, empty), [axis + 1]) for lane in range(stride)]
            long = length or op.Mul(op.Add(op.dim(parts[0], axis), most), stride)
            behind = self._behind(op, axis, x)
            full = op.Reshape(op.Concat(*wide, axis=axis + 1), op.concat([*[0] * axis, long, *behind]))
        if size is not None and length is not None and isinstance(begin, int):
            if begin + size > length:
                full = op.Pad(full, np.array([0, begin + size - length]), None, [axis])
            if begin or length != size:
                full = op.slice(full, axis, begin, begin + size)
        else:
            start = op.concat([begin])
            full = op.Pad(full, np.array([0, stride + self.reach[k]]), None, [axis])
            full = op.slice(full, axis, start, op.Add(start, op.dim(x, axis)))
        return op.annotate(full, x)

    def _lengths(self, k: int) -> tuple[int | None, int | None]:
        """Return the input's length along a spatial axis, and the number of windows."""
        return self._size(self.node.x, k), self._size(self.node.y, k)

    def _behind(self, op: Emitter, axis: int, x: ir.Value) -> list[int | ir.Value]:
        """Return the lengths of the axes behind one."""
        return [
            size if (size := self._size(x, j)) is not None else op.dim(x, j + 2)
            for j in range(axis - 1, self.n)
        ]

    def _partly(self, value: ir.Value, k: int) -> ir.Value:
        """State the shape of what is pooled along an axis and those behind it."""
        before, after = facts.dims(self.node.x), facts.dims(self.node.y)
        if before is not None and after is not None:
            value.shape = ir.Shape([*before[: k + 2], *after[k + 2 :]])
        return value

    @staticmethod
    def _size(value: ir.Value, k: int) -> int | None:
        return facts.static_dim(value, k + 2)

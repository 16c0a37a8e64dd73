"""Where the windows of convolutions and poolings lie, known before running or computed while running."""

from __future__ import annotations

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
        if all(isinstance(b, int) for b in begin) and None not in sizes and None not in made:
            covered = [
                (m - 1) * s + r  # type: ignore[operator]
                for m, s, r in zip(made, self.strides, self.reach, strict=True)
            ]
            need = [b + size for b, size in zip(begin, sizes, strict=True)]  # type: ignore[operator]
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

    @staticmethod
    def _size(value: ir.Value, k: int) -> int | None:
        return facts.static_dim(value, k + 2)

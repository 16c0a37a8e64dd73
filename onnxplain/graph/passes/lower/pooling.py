"""Write ``ai.onnxplain::MaxPoolGrad``, which has two axes, for one, two or three.

Of one, the other has length 1.  Of three, the numbers go along the first axis first, to the maxima along both
others; then to the elements of each plane.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.passes.lower.matching import DOMAIN, named

__all__ = ["Pooling"]

_Told = Mapping[str, Sequence[int]]
#: What an axis is where nothing is pooled.
_ONE = {"kernel_shape": 1, "strides": 1, "dilations": 1, "begins": 0}


class Pooling(Ops):
    """Writes nodes before one."""

    def __init__(self, graph: ir.Graph, last: ir.Node, opset: int) -> None:
        super().__init__(graph, opset, f"{last.name}/pool")
        self.before = last

    def emit(self, op_type: str, inputs: Sequence[Any], attrs: dict[str, Any] | None = None) -> Any:
        """Append one node that is marked as the walk's."""
        made = super().emit(op_type, inputs, attrs)
        node = made.producer() if isinstance(made, ir.Value) else None
        if node is not None:
            node.metadata_props[facts.WRITTEN_KEY] = ""
        return made

    def on_planes(self, inputs: Sequence[ir.Value], pool: _Told) -> Any:
        """Return what x gets, of x, the maxima, and a number for each."""
        x = inputs[0]
        made = self.emit(named("MaxPoolGrad", x.dtype), inputs, {**pool, "_domain": DOMAIN, "_fold": False})
        return self.annotate(made, x)

    def on_lines(self, inputs: Sequence[ir.Value], pool: _Told) -> Any:
        """Do the same along the only axis."""
        planes = [self.Unsqueeze(v, self.const([2])) for v in inputs]
        return self.Squeeze(self.on_planes(planes, _axes(pool, None, 0)), self.const([2]))

    def on_volumes(self, inputs: Sequence[ir.Value], maxima: ir.Value, pool: _Told) -> Any:
        """Do the same along three axes."""
        x, y, g = inputs
        pooled = self._length(y, 3, 5)  # places along the two last axes
        lines = [
            self._shaped(maxima, self._length(x, 0, 1), self._length(x, 1, 2), self._length(x, 2, 3), pooled)
        ]
        lines += [self._shaped(v, *(self._length(y, k, k + 1) for k in range(3)), pooled) for v in (y, g)]
        along = self.on_planes(lines, _axes(pool, 0, None))
        outer = self._length(x, 0, 1), self._length(x, 1, 3)
        sides, made = ([self._length(v, k, k + 1) for k in (3, 4)] for v in (x, y))
        planes = [self._shaped(x, *outer, *sides), *(self._shaped(v, *outer, *made) for v in (maxima, along))]
        found = self.on_planes(planes, _axes(pool, 1, 2))
        return self._shaped(found, *(self._length(x, k, k + 1) for k in range(5)))

    def _length(self, value: ir.Value, start: int, end: int) -> Any:
        """Return how many places there are along some axes, as int64 of shape (1,)."""
        lengths = [facts.static_dim(value, k) for k in range(start, end)]
        if None not in lengths:
            return self.const([math.prod(n for n in lengths if n is not None)])
        shape = self.Shape(value, start=start, end=end)
        return shape if end - start == 1 else self.ReduceProd(shape, keepdims=1)

    def _shaped(self, value: ir.Value, *lengths: Any) -> ir.Value:
        """Lay a value out with these lengths, each as int64 of shape (1,)."""
        made: ir.Value = self.Reshape(value, self.Concat(*lengths, axis=0), allowzero=1)
        return made


def _axes(pool: _Told, down: int | None, across: int | None) -> _Told:
    """Return a pooling along two axes, of which one may be none."""
    return {k: [one if axis is None else pool[k][axis] for axis in (down, across)] for k, one in _ONE.items()}

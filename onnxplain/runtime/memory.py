"""How many samples fit: the internal batch size from a memory budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import onnx_ir as ir

from onnxplain._types import Shape
from onnxplain.backward.asks import Ask, Scores
from onnxplain.graph import facts
from onnxplain.graph.shapes import at_shapes
from onnxplain.runtime.cache import Cache

__all__ = ["DEFAULT_BUDGET", "LARGEST_BATCH", "LARGEST_FORWARD", "MemoryModel", "SizeOf"]

#: Says how many samples to run at once: by the shapes of one, a budget, and what is asked.
SizeOf: TypeAlias = Callable[[dict[str, Shape], int, Ask], int]

#: Bytes that the activations of one internal batch may take.
DEFAULT_BUDGET = 1 << 30

#: Beyond this, larger batches rarely gain: walks back, and forward passes.
LARGEST_BATCH, LARGEST_FORWARD = 64, 8192

#: Nor do they beyond so many rows of a forward pass whose activations take more bytes than this.
_SMALL_FORWARD, _IN_CACHE = 64, 32 << 20

#: More rows are not tried.
_MOST = 1 << 15

#: Bytes for each number of a point that is asked about: itself, what it is mixed of, a copy in a batch.
_POINT = 12

#: Kinds of calls whose estimates are remembered.
_MOST_KNOWN = 256


class MemoryModel:
    """Estimates the activations that one sample keeps alive.

    Every float value of the forward graph counts, and the point itself, at the shapes that the given inputs
    imply; what is asked says how many times.
    """

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self._known: Cache[int] = Cache(_MOST_KNOWN, 0, lambda _: 0)

    def bytes_per_sample(self, shapes: dict[str, Shape]) -> int:
        """Return the estimate for inputs of these shapes, batch axis included (length 1)."""
        return self._known.get(tuple(sorted(shapes.items())), lambda: self._estimate(shapes))

    def batch_size(self, shapes: dict[str, Shape], budget: int, ask: Ask) -> int:
        """Return how many samples to run at once for an ask, which fit in a budget (at least 1)."""
        most = LARGEST_BATCH
        if isinstance(ask, Scores):
            in_cache = _IN_CACHE // self.bytes_per_sample(shapes)
            most = min(LARGEST_FORWARD, max(_SMALL_FORWARD, in_cache))
        return min(most, self.fitting(shapes, budget, ask))

    def fitting(self, shapes: dict[str, Shape], budget: int, ask: Ask) -> int:
        """Return how many samples fit in a budget, usual or not (at least 1)."""
        return max(1, min(_MOST, budget // (ask.holds * self.bytes_per_sample(shapes))))

    def _estimate(self, shapes: dict[str, Shape]) -> int:
        model = at_shapes(self._model, shapes)
        total = 0.0  # 4-bit types take half a byte
        for node, told in zip(model.graph, self._model.graph, strict=True):
            for value, declared in zip(node.outputs, told.outputs, strict=True):
                shape = facts.static_shape(value) or facts.static_shape(declared)
                if shape is not None and facts.is_float(value):
                    total += math.prod(shape) * (value.dtype.itemsize if value.dtype is not None else 4)
        inputs = sum(_POINT * math.prod(s) for s in shapes.values())
        return max(int(total) + inputs, 1)

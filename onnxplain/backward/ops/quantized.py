"""Rounding and saturation as the graphs of quantised models hold them (see :mod:`onnxplain.graph.quantized`).

These are gradients that a node names itself, in place of its operator's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.registry import Category, Entry, gradient, zero
from onnxplain.backward.view import NodeView
from onnxplain.graph.facts import GRADIENT_KEY

zero("stop", domain=GRADIENT_KEY)


@gradient("straight_through", Category.STRUCTURAL, domain=GRADIENT_KEY)
def straight_through(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Pass g, as if nothing had been rounded."""
    return [g, *[None] * (len(node.inputs) - 1)]


@gradient("saturating", Category.ELEMENTWISE, domain=GRADIENT_KEY)
def saturating(op: Emitter, node: NodeView, g: Any) -> Sequence[Entry]:
    """Pass g where the value lies within the range, its ends included."""
    return lambda: op.keep_where(op.Equal(node.x, node.y), g), None, None

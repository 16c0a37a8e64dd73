"""VisualBackProp: a mask goes down in the place of a gradient, the same for all channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onnxplain.backward.emitter import Emitter
from onnxplain.backward.ops.convolution import kernel_of
from onnxplain.backward.ops.pooling import spread
from onnxplain.backward.ops.windows import Windows
from onnxplain.backward.registry import BackwardFunction, Entry
from onnxplain.backward.rules.base import Binding, only
from onnxplain.backward.view import NodeView

__all__ = ["AllPass", "VisualLayer", "VisualStart"]


@dataclass(frozen=True)
class VisualStart:
    """Where the features leave the image plane: begin with the mean of the last maps, whatever arrives."""

    name: str = "visual_start"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient."""

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
            return only(node, 0, lambda: op.expand_like(op.mean(node.x, [1]), node.x))

        return function


@dataclass(frozen=True)
class VisualLayer:
    """Spread the mask over the windows of a convolution or pooling, and weigh it by the maps below.

    Parameters
    ----------
    weigh
        Whether to multiply by the mean over channels of the layer's input.
    """

    weigh: bool = True
    name: str = "visual_layer"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient."""

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Sequence[Entry]:
            def entry() -> Any:
                convolution = node.op_type == "Conv"
                kernel = kernel_of(node) if convolution else node.ints("kernel_shape", ())
                below = op.mean(node.x, [1])
                windows = Windows.of(node.with_inputs(below, *node.inputs[1:]), kernel)
                mask = spread(op, windows, op.mean(gradients[0], [1]))
                return op.expand_like(op.Mul(mask, below) if self.weigh else mask, node.x)

            return only(node, 0, entry)

        return function


@dataclass(frozen=True)
class AllPass:
    """Give the mask to every operand that has maps."""

    name: str = "all_pass"

    def bind(self, binding: Binding) -> BackwardFunction | None:
        """Replace the gradient."""

        def function(op: Emitter, node: NodeView, /, *gradients: Any) -> Any:
            if binding.source is not None:
                return {binding.source: gradients[0]}
            return [gradients[0] if k in binding.active else None for k in range(len(node.inputs))]

        return function

"""Write stride-1 transposed convolutions as plain ones, which onnxruntime's CPU kernels run faster.

Cases: ConvTranspose that a walk back wrote (never the model's own), with constant weight, stride 1 in every
axis, no output padding, explicit pads that fit the kernel, and an output not much larger than its input (a
kernel as wide as the image stays as it is).  Small images of few channels stay as they are, too: onnxruntime
fills a block of channels for them (measured: 11 us instead of 71 for 16 channels to 1, 5 x 5 over 28 x 28).
``convT(g, W) = conv(g, flip(W)^T)`` with pads ``d (k - 1) - p``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array, Shape
from onnxplain.graph import facts
from onnxplain.graph.passes.lower.matching import held

__all__ = ["FlipTransposedConvs", "flip"]

_MOST_GROWTH = 2.0
_SMALL_REACH = 16

#: Channels that do not fill a block, and those that do where a kernel has many places; pixels that one thread
#: is soon done with (the transposed form adds up by one thread).
_FEW_CHANNELS, _BLOCK, _MANY_PLACES = 8, 16, 16
_FEW_PIXELS = 64 * 64


class FlipTransposedConvs(ir.passes.InPlacePass):
    """Lower for the CPU; cuDNN prefers the transposed form."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified = False
        flipped: dict[tuple[ir.Value, int], ir.Value] = {}
        for node in list(model.graph):
            if node.op_type == "ConvTranspose" and facts.is_written(node):
                modified |= self._lower(model.graph, node, flipped)
        return ir.passes.PassResult(model, modified)

    def _lower(self, graph: ir.Graph, node: ir.Node, flipped: dict[tuple[ir.Value, int], ir.Value]) -> bool:
        weight = node.inputs[1]
        if weight is None or not facts.is_constant(weight) or weight.const_value is None:
            return False
        kernel = weight.const_value.shape.numpy()[2:]
        ones, zeros = (1,) * len(kernel), (0,) * len(kernel)
        strides = facts.attr(node, "strides", ones)
        dilations = facts.attr(node, "dilations", ones)
        pads = facts.attr(node, "pads", zeros + zeros)
        assert isinstance(pads, tuple)
        assert isinstance(dilations, tuple)
        plain = facts.attr(node, "output_padding", zeros) == zeros and "output_shape" not in node.attributes
        if strides != ones or not plain or facts.attr(node, "auto_pad", "NOTSET") != "NOTSET":
            return False
        reach = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)] * 2
        new_pads = [r - p for r, p in zip(reach, pads, strict=True)]
        if min(new_pads, default=0) < 0:
            return False
        if _grows(node, reach) or _is_small(node, weight.const_value.numpy().shape):
            return False
        group = facts.attr(node, "group", 1)
        assert isinstance(group, int)
        if (weight, group) not in flipped:
            content = flip(weight.const_value.numpy(), group)
            flipped[weight, group] = held(graph, f"{weight.name}/flipped_{group}", content)
        attrs: dict[str, int | Sequence[int]] = {
            "group": group,
            "dilations": dilations,
            "pads": new_pads,
            "kernel_shape": kernel,
        }
        conv = ir.node(
            "Conv", [node.inputs[0], flipped[weight, group], *node.inputs[2:]], attrs, name=node.name
        )
        new, old = conv.outputs[0], node.outputs[0]
        new.name, new.type, new.shape = old.name, old.type, old.shape
        conv.metadata_props[facts.WRITTEN_KEY] = node.metadata_props[facts.WRITTEN_KEY]
        ir.convenience.replace_nodes_and_values(graph, node, [node], [conv], [old], [new])
        if not weight.uses() and not weight.is_graph_output():
            graph.initializers.pop(
                str(weight.name), None
            )  # onnxruntime takes no content for what is not used
        return True


def _grows(node: ir.Node, reach: list[int]) -> bool:
    """Whether the output has so many more pixels than the input that the transposed form does less work.

    The transposed form works per input pixel, the plain one per output pixel.
    """
    source, made = node.inputs[0], node.outputs[0]
    assert source is not None
    ratio = 1.0
    for axis in range(len(reach) // 2):
        before = facts.static_dim(source, axis + 2) if source.shape is not None else None
        after = facts.static_dim(made, axis + 2) if made.shape is not None else None
        if before and after:
            ratio *= after / before
        elif reach[axis] > _SMALL_REACH:
            return True
    return ratio > _MOST_GROWTH


def _is_small(node: ir.Node, weight: Shape) -> bool:
    """Whether the output has few channels and few pixels, and one group."""
    made, channels, kernel = node.outputs[0], weight[1], weight[2:]
    most = _BLOCK if math.prod(kernel) >= _MANY_PLACES else _FEW_CHANNELS
    if facts.attr(node, "group", 1) != 1 or channels > most or made.shape is None:
        return False
    sizes = [facts.static_dim(made, axis + 2) for axis in range(len(kernel))]
    return None not in sizes and math.prod(size or 0 for size in sizes) <= _FEW_PIXELS


def flip(weight: Array, group: int) -> Array:
    """(G*O, I, k...) to (G*I, O, k...), the kernel axes reversed."""
    kernel = weight.shape[2:]
    split = weight.reshape(group, -1, *weight.shape[1:]).swapaxes(1, 2)
    flipped = np.flip(split, axis=tuple(range(3, 3 + len(kernel))))
    return np.ascontiguousarray(flipped).reshape(-1, weight.shape[0] // group, *kernel)

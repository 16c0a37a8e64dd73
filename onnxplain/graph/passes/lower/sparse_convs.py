"""Write transposed convolutions behind max pooling as ``ai.onnxplain::SparseConvTranspose``.

A walk back through max pooling leaves zeros in all places but one of each window, and masks put more.  The
operator multiplies what is not zero alone.

Cases: ConvTranspose that a walk back wrote, two spatial axes, one group, no dilation, float32, constant
finite weight (zeros are left out, and zero times infinity is not zero), on what a MaxPoolGrad of ours made,
masked or not.  Only few channels and small images, where a convolution does not fill onnxruntime's kernels
(measured: a third to four fifths of its time with 16 and 32 channels, as much with 64).  That there are zeros
is a hint: the result is right without them.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.passes.lower.matching import DOMAIN, held, made_by, number, put

__all__ = ["SPARSE", "SparseConvs", "packed"]

SPARSE = "SparseConvTranspose"

#: Channels that are worked on together; those of a group that may be missing; groups; places of a kernel.
_LANES, _MOST_MISSING, _MOST_GROUPS, _LEAST_PLACES = 16, 4, 2, 9
_MOST_PIXELS = 64 * 64
_LEAST_ZEROS = 4  # one of so many places is not zero
_RANK = 4


class SparseConvs(ir.passes.InPlacePass):
    """Lower for the CPU, behind :class:`~onnxplain.graph.passes.lower.MaxPoolGrads`."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified = False
        for node in list(model.graph):
            if node.op_type == "ConvTranspose" and facts.is_written(node):
                modified |= _replace(model, node)
        return ir.passes.PassResult(model, modified)


def packed(weight: Array) -> Array:
    """Return a weight (O, I, H, W) as the operator takes it: (groups of 16, O, H W 16), filled up."""
    given, channels, *kernel = weight.shape
    groups = -(-channels // _LANES)
    filled = np.zeros((given, groups * _LANES, *kernel), weight.dtype)
    filled[:, :channels] = weight
    apart = filled.reshape(given, groups, _LANES, *kernel).transpose(1, 0, 3, 4, 2)
    return np.ascontiguousarray(apart).reshape(groups, given, -1)


def _replace(model: ir.Model, node: ir.Node) -> bool:
    given, weight, content = node.inputs[0], node.inputs[1], facts.constant(node.inputs[1])
    if given is None or weight is None or content is None or content.dtype != np.float32:
        return False
    if not _fits(node, content):
        return False
    ones, zeros = (1, 1), (0, 0)
    pads, more = facts.attr(node, "pads", zeros + zeros), facts.attr(node, "output_padding", zeros)
    strides = facts.attr(node, "strides", ones)
    assert isinstance(strides, tuple)
    assert isinstance(pads, tuple)
    assert isinstance(more, tuple)
    if min(pads) < 0:
        return False
    described = {
        "channels": content.shape[1],
        "kernel_shape": list(content.shape[2:]),
        "strides": list(strides),
        "begins": list(pads[:2]),
        "ends": [end - further for end, further in zip(pads[2:], more, strict=True)],
    }
    graph = model.graph
    kernel = held(graph, f"{weight.name}/packed", packed(content))
    put(model, node, SPARSE, [given, kernel], described)
    if not weight.uses() and not weight.is_graph_output():
        graph.initializers.pop(str(weight.name), None)  # onnxruntime takes no content for what is not used
    return True


def _fits(node: ir.Node, weight: Array) -> bool:
    plain = (
        len(node.inputs) == 2
        and weight.ndim == _RANK
        and facts.attr(node, "group", 1) == 1
        and facts.attr(node, "dilations", (1, 1)) == (1, 1)
        and facts.attr(node, "auto_pad", "NOTSET") == "NOTSET"
        and "output_shape" not in node.attributes
        and node.outputs[0].dtype == ir.DataType.FLOAT
    )
    if not plain or math.prod(weight.shape[2:]) < _LEAST_PLACES:
        return False
    channels, made = weight.shape[1], node.outputs[0]
    if -channels % _LANES > _MOST_MISSING or channels > _MOST_GROUPS * _LANES or made.shape is None:
        return False
    sizes = [facts.static_dim(made, axis) for axis in (2, 3)]
    small = None not in sizes and math.prod(size or 0 for size in sizes) <= _MOST_PIXELS
    return small and _mostly_zeros(node.inputs[0]) and bool(np.isfinite(weight).all())


def _mostly_zeros(value: ir.Value | None) -> bool:
    """Whether a value is what a walk back through max pooling made, or that with a mask."""
    node = None if value is None else value.producer()
    if node is None or not facts.is_written(node):
        return False
    if node.op_type == "MaxPoolGrad" and node.domain == DOMAIN:
        return math.prod(node.attributes["strides"].as_ints()) >= _LEAST_ZEROS
    chosen = made_by(value, "Where")
    if chosen is not None and number(chosen.inputs[2]) == 0:
        return _mostly_zeros(chosen.inputs[1])
    product = made_by(value, "Mul")
    return product is not None and any(_mostly_zeros(v) for v in product.inputs)

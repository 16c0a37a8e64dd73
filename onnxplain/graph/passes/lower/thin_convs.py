"""Write transposed convolutions with strides to few channels as one of our own operators.

Cases: ConvTranspose over two axes that a walk back wrote (never the model's own), of float32, to at most four
channels (back through the first layer of a network for images), with constant weight, no bias, one group, no
dilation and explicit pads.  Blocks of channels would be mostly empty there, and onnxruntime adds up by one
thread.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.passes.lower.matching import put

__all__ = ["ThinConvs"]

_AXES = 2
_MOST_CHANNELS = 4


class ThinConvs(ir.passes.InPlacePass):
    """Lower for the CPU, where the library of operators is loaded."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        found = [n for n in model.graph if n.op_type == "ConvTranspose" and facts.is_written(n)]
        return ir.passes.PassResult(model, sum(_lower(model, node) for node in found) > 0)


def _lower(model: ir.Model, node: ir.Node) -> bool:
    value, weight = node.inputs[:2]
    held = facts.constant(weight)
    if value is None or weight is None or held is None or len(node.inputs) > 2:
        return False
    if node.outputs[0].dtype != ir.DataType.FLOAT or held.ndim != 2 + _AXES or held.shape[1] > _MOST_CHANNELS:
        return False
    ones, zeros = (1,) * _AXES, (0,) * _AXES
    strides, pads = facts.attr(node, "strides", ones), facts.attr(node, "pads", zeros + zeros)
    plain = facts.attr(node, "dilations", ones) == ones and facts.attr(node, "group", 1) == 1
    explicit = facts.attr(node, "auto_pad", "NOTSET") == "NOTSET" and "output_shape" not in node.attributes
    assert isinstance(pads, tuple)
    if not plain or not explicit or strides == ones or min(pads) < 0:
        return False
    more = facts.attr(node, "output_padding", zeros)
    described = {"strides": strides, "begins": pads[:_AXES], "ends": pads[_AXES:], "more": more}
    put(model, node, "ThinConvTranspose", [value, weight], described)
    return True

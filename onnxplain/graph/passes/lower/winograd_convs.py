"""Write convolutions that carry a walk back as ``ai.onnxplain::WinogradConv``.

A kernel of 3 x 3 without strides takes a quarter of the products, by tiles of 4 x 4 places, and half of the
time (``csrc/kernels/winograd.hpp``: how, and how it rounds).

Cases: Conv that :class:`~onnxplain.graph.passes.lower.FlipTransposedConvs` wrote of the walk back through a
convolution, over two axes, of float32, with a constant finite kernel of 3 x 3, channels in multiples of 16,
one group, no strides, dilations or bias.  Not so other convolutions of a walk: what relevance is divided by
must be right next to zero, too, and the operator rounds by what is large near by.  Images are of known size:
kernels are transformed in each run, which some tiles must be worth.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.passes.lower.matching import held, put

__all__ = ["WINOGRAD", "WinogradConvs", "in_blocks"]

WINOGRAD = "WinogradConv"

_RANK, _EDGE, _TILE, _BLOCK = 4, 3, 4, 16
#: Tiles of an image that kernels are worth transforming for (measured: less than half of the time with 36
#: tiles or more, two thirds with 16, as much with 4).
_LEAST_TILES = 9
#: The share of the tiles' places that the image must fill.
_LEAST_FILLED = 0.6


class WinogradConvs(ir.passes.InPlacePass):
    """Lower for the CPU, where the library of operators is loaded."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        found = [node for node in model.graph if node.op_type == "Conv" and facts.is_adjoint(node)]
        return ir.passes.PassResult(model, sum(_replace(model, node) for node in found) > 0)


def in_blocks(kernel: Array) -> Array:
    """Return kernels (O, I, 3, 3) as the operator takes them: (O / 16, I, 9, 16)."""
    made, given = kernel.shape[:2]
    return np.ascontiguousarray(kernel.reshape(made // _BLOCK, _BLOCK, given, -1).transpose(0, 2, 3, 1))


def _replace(model: ir.Model, node: ir.Node) -> bool:
    value, weight = node.inputs[:2]
    content = facts.constant(weight)
    if value is None or weight is None or content is None or not _fits(node, content):
        return False
    pads = facts.attr(node, "pads", (0, 0, 0, 0))
    assert isinstance(pads, tuple)
    if min(pads) < 0:
        return False
    kernel = held(model.graph, f"{weight.name}/in_blocks", in_blocks(content))
    described = {"channels": content.shape[0], "begins": list(pads[:2]), "ends": list(pads[2:])}
    put(model, node, WINOGRAD, [value, kernel], described)
    if not weight.uses() and not weight.is_graph_output():
        model.graph.initializers.pop(str(weight.name), None)
    return True


def _fits(node: ir.Node, kernel: Array) -> bool:
    made = node.outputs[0]
    plain = (
        len(node.inputs) == 2
        and kernel.dtype == np.float32
        and kernel.shape[2:] == (_EDGE, _EDGE)
        and facts.attr(node, "strides", (1, 1)) == (1, 1)
        and facts.attr(node, "dilations", (1, 1)) == (1, 1)
        and facts.attr(node, "group", 1) == 1
        and facts.attr(node, "auto_pad", "NOTSET") == "NOTSET"
        and made.dtype == ir.DataType.FLOAT
    )
    if not plain or kernel.shape[0] % _BLOCK or kernel.shape[1] % _BLOCK or made.shape is None:
        return False
    rows, columns = (facts.static_dim(made, axis) for axis in (2, 3))
    if not rows or not columns:
        return False
    tiles = -(-rows // _TILE) * -(-columns // _TILE)
    return (
        tiles >= _LEAST_TILES
        and rows * columns >= _LEAST_FILLED * tiles * _TILE**2
        and bool(np.isfinite(kernel).all())
    )

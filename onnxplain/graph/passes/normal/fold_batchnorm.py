"""Fold BatchNormalization into the linear layer before or after it.

A layer and its normalisation are one linear map, which is also what LRP wants.  Cases, for inference-mode
BatchNormalization ``s x + t`` with constant parameters and layers with constant weight:

* after Conv, ConvTranspose, Gemm or MatMul (with its Add) whose output goes nowhere else:
  ``s (W x + b) + t = (s W) x + (s b + t)``;
* before layers of these kinds that are all that reads it: ``W (s x + t) + b = (W s) x + (b + W t)``.  Where
  the layer pads, or has no constant bias, the zeros beyond the border must stay zeros of the layer's input:
  ``(W s)(x + t / s) + b``, so an Add of one constant per channel stays;
* if asked for, after a layer whose output others read too: the normalisation gets a layer of its own.

What else is read, a graph output, say, stays.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.decomposition import number
from onnxplain.graph.passes.linear_layer import LinearLayer, ends, starts, store
from onnxplain.graph.replace import take_place

__all__ = ["FoldBatchNorm", "affine"]

# Of a channel that is scaled by less, relative to the largest or at all, t / s says too little.
_LEAST_RATIO = 1e-6
_LEAST = 1e-20
_MATRIX = 2  # rank


class FoldBatchNorm(ir.passes.InPlacePass):
    """Merge ``gamma * (x - mean) / sqrt(var + eps) + beta`` into its neighbours' weights.

    Weights are computed in float64 and stored in their own dtype, as new initializers; those that are not
    used any more are left for the removal of unused nodes.

    Parameters
    ----------
    shared
        Fold also after a layer whose output is read by others, into a copy of the layer.  The copy costs the
        layer's run once more.
    """

    def __init__(self, shared: bool = False) -> None:
        super().__init__()
        self.shared = shared

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Run the pass."""
        modified, changed = False, True
        while changed:  # a layer that takes in its normalisation may stand next to another one
            changed = False
            for node in list(model.graph):
                if node.op_type == "BatchNormalization" and node.domain in ("", "ai.onnx"):
                    changed |= self._fold(node)
            modified |= changed
        return ir.passes.PassResult(model, modified)

    def _fold(self, norm: ir.Node) -> bool:
        line = affine(norm)
        if line is None:
            return False
        layer = ends(norm.inputs[0])
        if layer is not None and layer.bias is None:
            layer = None
        if layer is not None and layer.alone:
            _into_layer(norm, layer, *line)
            return True
        if _into_readers(norm, *line):
            return True
        if layer is not None and self.shared:
            _into_layer(norm, layer, *line)
            return True
        return False


def affine(norm: ir.Node) -> tuple[Array, Array] | None:
    """Return ``(s, t)`` of ``s x + t``, float64 (channels,), or None if they are not constant and finite."""
    if facts.attr(norm, "training_mode", 0) or any(o.uses() or o.is_graph_output() for o in norm.outputs[1:]):
        return None
    arrays = [facts.constant(v) for v in norm.inputs[1:5]]
    if any(a is None for a in arrays):
        return None
    gamma, beta, mean, var = (np.asarray(a, np.float64) for a in arrays)
    with np.errstate(all="ignore"):
        scale = gamma / np.sqrt(var + number(norm, "epsilon", 1e-5))
        shift = beta - mean * scale
    return (scale, shift) if np.isfinite(scale).all() and np.isfinite(shift).all() else None


def _into_layer(norm: ir.Node, layer: LinearLayer, scale: Array, shift: Array) -> None:
    """Write a layer that normalises; the old one goes if nobody else reads it."""
    assert layer.bias is not None
    output, source, replaces = norm.outputs[0], layer.output, layer.alone
    made = layer.write(layer.scale_output(scale), layer.bias * scale + shift, layer.node.inputs[0], norm)
    node = made.producer()
    assert node is not None
    node.name = layer.node.name if replaces else norm.name
    made.type, made.shape = source.type, None if source.shape is None else source.shape.copy()
    take_place(output, made)
    _drop_unused(norm, layer.add, layer.node)


def _into_readers(norm: ir.Node, scale: Array, shift: Array) -> bool:
    """Let every reader of a normalisation read its input instead, if all of them can take it in."""
    layers = _readers(norm)
    if layers is None:
        return False
    biases = [layer.shift_input(shift) if shift.any() else None for layer in layers]
    moved = x = norm.inputs[0]
    assert x is not None
    if shift.any() and any(bias is None for bias in biases):
        offset = _offset(scale, shift, layers[0].weight.dtype)
        if offset is None:
            return False
        moved = _add(norm, layers[0], offset)
    for layer, bias in zip(layers, biases, strict=True):
        old = layer.node.outputs[0] if bias is None else layer.output
        made = layer.write(layer.scale_input(scale), bias, moved if bias is None else x, layer.node)
        node = made.producer()
        assert node is not None
        node.name = layer.node.name
        take_place(old, made)
        _drop_unused(layer.add if bias is not None else None, layer.node)
    _drop_unused(norm)
    return True


def _readers(norm: ir.Node) -> list[LinearLayer] | None:
    """Return the layers that read a normalisation, or None if anything else reads it, or nothing."""
    output = norm.outputs[0]
    if output.is_graph_output() or not output.uses():
        return None
    layers: list[LinearLayer] = []
    for reader, index in output.uses():
        plain = index == 0 and reader.graph is norm.graph and not facts.attr(reader, "transA", 0)
        layer = starts(reader) if plain else None
        if layer is None:
            return None
        layers.append(layer)
    return layers


def _offset(scale: Array, shift: Array, dtype: np.dtype) -> Array | None:
    """Return ``t / s``, or None if some channel that is shifted is scaled by too little."""
    size = np.abs(scale)
    least = max(_LEAST_RATIO * float(size.max()), _LEAST)
    if not np.all((size > least) | (shift == 0)):
        return None
    with np.errstate(over="ignore"):
        offset = np.divide(shift, scale, out=np.zeros_like(shift), where=shift != 0).astype(dtype)
    return offset if np.isfinite(offset).all() else None


def _add(norm: ir.Node, layer: LinearLayer, offset: Array) -> ir.Value:
    """Add one constant per channel to a normalisation's input."""
    x, output, graph = norm.inputs[0], norm.outputs[0], norm.graph
    assert isinstance(graph, ir.Graph)
    content = offset.reshape(-1, *(1,) * (layer.weight.ndim - _MATRIX))
    add = ir.Node("", "Add", [x, store(graph, f"{output.name}/offset", content)], name=norm.name)
    graph.insert_before(norm, add)
    made = add.outputs[0]
    made.name, made.type = f"{output.name}/moved", output.type
    made.shape = None if output.shape is None else output.shape.copy()
    return made


def _drop_unused(*nodes: ir.Node | None) -> None:
    for node in nodes:
        if node is not None and not any(o.uses() or o.is_graph_output() for o in node.outputs):
            assert isinstance(node.graph, ir.Graph)
            node.graph.remove(node, safe=True)

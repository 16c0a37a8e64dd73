"""Fold constants that scale and shift a layer's output into the layer.

Exporters write ``x W + b`` as MatMul and Add, TensorFlow's convolutions have bias and normalisation beside
them, and between the two may stand what only moves values: every Conv1D of Keras comes as Conv, Squeeze, Add
(Mul, Add).  Relevance rules treat a layer and what belongs to it as one, and what a network's relevance is
must not depend on how it was written down.

Layers are Conv, ConvTranspose, Gemm, and MatMul or Einsum of one value that varies and a constant, which
become a Gemm where they get a bias (of more than two axes the leading ones are joined for it, as onnxruntime
does).  What follows is Add, Sub, Mul or Div with a constant that is the same for all elements of a channel,
Neg, or BatchNormalization; between them stand movers (:mod:`onnxplain.graph.movers`) that nobody else reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.movers import aligned, before, collapsed, varies_along
from onnxplain.graph.passes.linear_layer import LinearLayer, ends
from onnxplain.graph.passes.node_pass import NodePass
from onnxplain.graph.passes.normal.fold_batchnorm import affine
from onnxplain.graph.passes.prepare.contraction import Contraction, as_gemm, contraction
from onnxplain.graph.replace import take_place

__all__ = ["FoldAffine"]


@dataclass(frozen=True)
class _Affine:
    """``scale * v + shift``: constants with the axes of a value v."""

    scale: Array
    shift: Array


@dataclass(frozen=True)
class _Found:
    """The outputs of layers and what to fold into them, and all values that become others by it."""

    layers: list[tuple[ir.Value, _Affine]]
    passed: list[ir.Value]


class FoldAffine(NodePass):
    """Fold scales and shifts of layers' outputs into the layers; weights are computed in float64."""

    operators = frozenset({"Add", "BatchNormalization", "Div", "Mul", "Neg", "Sub"})

    def rewrite(self, graph: ir.Graph, node: ir.Node, opset: int) -> bool:
        """Fold what a node adds or multiplies into the layers that make its other operand."""
        read = None if facts.GRADIENT_KEY in node.metadata_props else _affine(node)
        if read is None:
            return False
        position, line = read
        value = node.inputs[position]
        assert value is not None
        found = _layers(graph, value, line) if len(value.uses()) == 1 else None
        if found is None:
            return False
        op = Ops(graph, opset, scope=f"{node.name or node.outputs[0].name}/folded")
        for moved in found.passed:  # they are no longer what their names say
            moved.name = op.fresh("moved")
        for made, part in found.layers:
            _fold(op, made, part)
        last = node.inputs[position]  # it may be another value now
        assert last is not None
        take_place(node.outputs[0], last)
        graph.remove(node, safe=True)
        return True


def _affine(node: ir.Node) -> tuple[int, _Affine] | None:
    """Return which operand a node scales and shifts, and by what."""
    if node.op_type == "BatchNormalization":
        return _normalised(node)
    if node.op_type == "Neg":
        position, scale, shift = 0, -1.0, 0.0
        content = np.ones(())
    else:
        constants = [facts.constant(v) for v in node.inputs]
        if len(constants) != 2 or (constants[0] is None) == (constants[1] is None):
            return None
        position = 0 if constants[0] is None else 1
        other = constants[1 - position]
        assert other is not None
        if node.op_type in ("Add", "Sub") and facts.is_of_lengths(node.inputs[1 - position]):
            return None
        content = other.astype(np.float64)
        if node.op_type == "Div" and position == 1:
            return None
        scale = -1.0 if node.op_type == "Sub" and position == 1 else 1.0
        shift = -1.0 if node.op_type == "Sub" and position == 0 else 1.0
    value = node.inputs[position]
    if value is None or not facts.is_float(value):
        return None
    wide = aligned(content, value)
    if wide is None:
        return None
    ones = np.ones_like(wide)
    if node.op_type in ("Add", "Sub", "Neg"):
        return position, _Affine(scale * ones, shift * wide)
    with np.errstate(all="ignore"):
        factor = wide if node.op_type == "Mul" else 1.0 / wide
    return (position, _Affine(factor, np.zeros_like(wide))) if np.isfinite(factor).all() else None


def _normalised(norm: ir.Node) -> tuple[int, _Affine] | None:
    line = affine(norm)
    x = norm.inputs[0]
    rank = None if x is None else facts.rank(x)
    if line is None or x is None or rank is None or rank < 2:
        return None
    parts = [aligned(part.reshape(-1, *(1,) * (rank - 2)), x) for part in line]
    return None if parts[0] is None or parts[1] is None else (0, _Affine(parts[0], parts[1]))


def _layers(graph: ir.Graph, value: ir.Value, line: _Affine) -> _Found | None:
    """Find the layers that a value is made of, and what to fold into each; None if there is more in it."""
    found = _Found([], [])
    waiting = {value: line}
    while waiting:
        value = _last(graph, waiting)
        line, node = waiting.pop(value), value.producer()
        if node is None or node.graph is not graph or not facts.is_float(value) or value.is_graph_output():
            return None
        found.passed.append(value)
        if _takes(node, value, line):
            found.layers.append((value, line))
            continue
        scales, shifts = before(value, line.scale, 1.0), before(value, line.shift, 0.0)
        if scales is None or shifts is None:
            return None
        for (source, scale), (_, shift) in zip(scales, shifts, strict=True):
            other = waiting.get(
                source
            )  # a part of it that another way leads to: both leave the rest as it is
            waiting[source] = (
                _Affine(scale, shift)
                if other is None
                else _Affine(collapsed(scale * other.scale), collapsed(shift + other.shift))
            )
    return found


def _last(graph: ir.Graph, values: Iterable[ir.Value]) -> ir.Value:
    """Return the value that is made last, so that no other one is made of it."""
    found = list(values)
    if len(found) == 1:
        return found[0]
    order = {node: k for k, node in enumerate(graph)}
    made_by = [(-1 if (p := v.producer()) is None else order.get(p, -1)) for v in found]
    return found[made_by.index(max(made_by))]


def _takes(node: ir.Node, value: ir.Value, line: _Affine) -> bool:
    """Tell whether a layer makes a value and can take in what is the same all over each channel."""
    if facts.GRADIENT_KEY in node.metadata_props:
        return False
    dense, layer = contraction(node), ends(value)
    if dense is None and (layer is None or layer.bias is None):
        return False
    axes = {1} if dense is None else dense.channel_axes
    return varies_along(line.scale) | varies_along(line.shift) <= axes


def _fold(op: Ops, value: ir.Value, line: _Affine) -> None:
    """Write the layer that makes a value anew."""
    node, layer = value.producer(), ends(value)
    assert node is not None
    dense = contraction(node)
    if layer is None or (dense is not None and not dense.plain):
        assert dense is not None
        op.before = node
        only_scaled = not line.shift.any()
        made = _scaled(op, node, dense, line.scale) if only_scaled else as_gemm(op, dense)
        take_place(value, made)
        assert isinstance(node.graph, ir.Graph)
        node.graph.remove(node, safe=True)
        if only_scaled:
            return
        value, line = _gemm_behind(made, line)
        layer = ends(value)
        assert layer is not None
    _write(layer, line)


def _scaled(op: Ops, node: ir.Node, dense: Contraction, scale: Array) -> ir.Value:
    """Write a product again, with a scaled weight."""
    axes = sorted(dense.channel_axes, key=lambda axis: dense.order[axis])
    wide = np.broadcast_to(scale, [dense.length(k) if k in axes else 1 for k in range(scale.ndim)])
    rest = [k for k in range(scale.ndim) if k not in axes]
    weight = dense.weight.astype(np.float64) * wide.transpose([*rest, *axes]).reshape(-1)
    stored = op.initializer(dense.stored(weight.astype(dense.weight.dtype)))
    inputs = [v if v is dense.x else stored for v in node.inputs]
    made = op.emit(node.op_type, inputs, {name: a.value for name, a in node.attributes.items()})
    assert isinstance(made, ir.Value)
    return made


def _gemm_behind(value: ir.Value, line: _Affine) -> tuple[ir.Value, _Affine]:
    """Go back through the movers that a Gemm was written with."""
    while ends(value) is None:
        scales, shifts = before(value, line.scale, 1.0), before(value, line.shift, 0.0)
        assert scales is not None
        assert shifts is not None
        (value, scale), (_, shift) = scales[0], shifts[0]
        line = _Affine(scale, shift)
    return value, line


def _write(layer: LinearLayer, line: _Affine) -> None:
    assert layer.bias is not None
    scale, shift = (np.broadcast_to(part.reshape(-1), layer.channels) for part in (line.scale, line.shift))
    bias = layer.bias * scale + shift
    keeps = layer.add is None and len(layer.node.inputs) < 3 and not bias.any()
    weight = layer.scale_output(scale) if (scale != 1).any() else layer.weight
    made = layer.write(weight, None if keeps else bias, layer.node.inputs[0], layer.node)
    node, source = made.producer(), layer.output
    assert node is not None
    node.name = layer.node.name
    take_place(source, made)
    for old in (layer.add, layer.node):
        if old is not None:
            assert isinstance(old.graph, ir.Graph)
            old.graph.remove(old, safe=True)

"""Models with other entrances: inputs that are shifted, that have a twin, or columns that nobody reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxplain.graph import facts
from onnxplain.graph.build import Ops
from onnxplain.graph.normalize import Normalized
from onnxplain.graph.passes.linear_layer import starts
from onnxplain.reading import understood

__all__ = ["TWIN", "shifted", "shifted_biases", "twinned", "widened"]

#: What the name of a twin ends in.
TWIN = "/twin"


def shifted(normal: Normalized, by: Mapping[str, float]) -> Normalized:
    """Return the model ``f(x - shift)``: the shift is taken off where the inputs enter.

    Parameters
    ----------
    normal
        The model; it stays as it is.
    by
        The shift, by input.
    """
    model = normal.model.clone()
    for name, shift in by.items():
        _enter(model.graph, normal.opset, name, "shifted", partial(_less, shift))
    return _read(normal, model, "shifted")


def shifted_biases(normal: Normalized, by: Mapping[str, float]) -> Normalized | None:
    """Return the model ``f(x - shift)``: the shift is in the biases of its first layers.

    None where some reader of the inputs is no layer whose sum over the shift is a bias (Gemm, MatMul of
    matrices, Conv without padding).
    """
    model = normal.model.clone()
    return _read(normal, model, "biases") if _into_biases(model.graph, by) else None


def twinned(normal: Normalized, names: Sequence[str]) -> Normalized:
    """Return the model ``f((x + twin) / 2)``; the twin of input x is a new input, ``"x/twin"``.

    Parameters
    ----------
    normal
        The model; it stays as it is.
    names
        Of the inputs that get a twin.
    """
    model = normal.model.clone()
    for name in names:
        x = next(v for v in model.graph.inputs if v.name == name)
        twin = ir.Value(name=f"{name}{TWIN}", shape=None if x.shape is None else x.shape.copy(), type=x.type)
        model.graph.inputs.append(twin)
        _enter(model.graph, normal.opset, name, "twinned", partial(_mean, twin))
    return _read(normal, model, "twinned")


def widened(normal: Normalized, axes: Mapping[str, int], width: int) -> Normalized:
    """Return the model of inputs that are longer along one axis, of which it does not read the end.

    Parameters
    ----------
    normal
        The model; it stays as it is.
    axes
        By input: along which axis, from the end (-1 is the last).
    width
        By how much they are longer.
    """
    model = normal.model.clone()
    for name, axis in axes.items():
        x = next(v for v in model.graph.inputs if v.name == name)
        old = None if x.shape is None else x.shape.copy()
        if x.shape is not None:
            length, dims = facts.static_dim(x, axis), list[Any](x.shape.dims)
            dims[axis] = None if length is None else length + width
            x.shape = ir.Shape(dims)
        cut = _enter(model.graph, normal.opset, name, "widened", partial(_cut, axis, width))
        cut.shape = old
    return _read(normal, model, "widened")


def _less(shift: float, op: Ops, x: ir.Value) -> ir.Value:
    made: ir.Value = op.Sub(x, shift)
    return made


def _cut(axis: int, width: int, op: Ops, x: ir.Value) -> ir.Value:
    made: ir.Value = op.Slice(x, np.array([0]), np.array([-width]), np.array([axis]))
    return made


def _mean(twin: ir.Value, op: Ops, x: ir.Value) -> ir.Value:
    made: ir.Value = op.Mul(op.Add(x, twin), 0.5)
    return made


def _into_biases(graph: ir.Graph, by: Mapping[str, float]) -> bool:
    for value in list(graph.inputs):
        if value.name is None or value.name not in by:
            continue
        for node, position in tuple(value.uses()):
            layer = starts(node) if node.graph is graph and position == 0 else None
            if layer is None:
                return False
            channels = _inputs_of(layer.node, layer.weight.shape)
            bias = layer.shift_input(np.full(channels, -by[value.name]))
            made = None if bias is None else layer.write(layer.weight.astype(np.float64), bias, value, node)
            if made is None:
                return False
            made.type, made.shape = layer.output.type, layer.output.shape
            ir.convenience.replace_all_uses_with(layer.output, made, replace_graph_outputs=True)
            name, layer.output.name = layer.output.name, None
            for old in (layer.add, layer.node):
                if old is not None:
                    graph.remove(old, safe=True)
            made.name = name
    return True


def _inputs_of(node: ir.Node, shape: Sequence[int]) -> int:
    """Return the number of a layer's input channels."""
    if node.op_type == "ConvTranspose":
        return shape[0]
    if node.op_type == "Conv":
        group = node.attributes.get("group")
        return shape[1] * (1 if group is None else group.as_int())
    turned = node.attributes.get("transB")
    return shape[1 if turned is not None and turned.as_int() else 0]


def _enter(
    graph: ir.Graph, opset: int, name: str, scope: str, make: Callable[[Ops, ir.Value], ir.Value]
) -> ir.Value:
    """Let all readers of an input read what is made of it."""
    x = next(v for v in graph.inputs if v.name == name)
    uses = tuple(x.uses())
    op = Ops(graph, opset, scope=f"axiom/{scope}/{name}")
    op.before = next(iter(graph))
    made = make(op, x)
    op.annotate(made, x)
    for node, position in uses:
        node.replace_input_with(position, made)
    return made


def _read(normal: Normalized, model: ir.Model, how: str) -> Normalized:
    found = understood(model)
    return Normalized(found.model, normal.notes, f"{normal.content}/{how}", {**found.gone, **normal.gone})

"""Activation maps, written into a graph."""

from __future__ import annotations

from functools import singledispatch
from typing import Any, cast

import numpy as np
import onnx_ir as ir

from onnxplain.errors import MethodError
from onnxplain.graph import facts
from onnxplain.maps.frame import Frame, Mapped, Place
from onnxplain.maps.lifting import over_feature, read_maps
from onnxplain.maps.writing import write_map
from onnxplain.methods.cams.base import ActivationMap, GradientMap
from onnxplain.methods.cams.gradients import GradCam, GradCamPlusPlus, HiResCam, LayerCam, XGradCam
from onnxplain.methods.cams.layers import Layer, Lifted
from onnxplain.methods.cams.others import EigenCam, GuidedGradCam, ShapleyCam
from onnxplain.methods.cams.pooled import Cam

__all__ = ["by_channel", "lay_over", "over_space"]

#: Squarings of a matrix: as many as 16 million steps of the power method.
_SQUARINGS = 24


@write_map.register(Cam)
@write_map.register(EigenCam)
@write_map.register(GradientMap)
@write_map.register(ShapleyCam)
def _cam(method: ActivationMap, frame: Frame) -> Mapped:
    found = method.lifted(frame.problem)
    made: dict[Layer, ir.Value] = {}
    for layer in dict.fromkeys(one.layer for one in found.values()):
        made[layer] = _signed(method, frame, layer)
    return lay_over(method, frame, found, made)


@write_map.register
def _guided(method: GuidedGradCam, frame: Frame) -> Mapped:
    op, mapped = frame.op, _cam(method, frame)
    features = list(frame.problem.features)
    walk = method.needs()
    guided = frame.walked(walk.composite, [frame.value(k) for k in features])
    values = {k: op.Mul(mapped.values[k], g) for k, g in zip(features, guided, strict=True)}
    return Mapped(values, mapped.extras)


def lay_over(
    method: ActivationMap, frame: Place, found: dict[str, Lifted], signed: dict[Layer, ir.Value]
) -> Mapped:
    """Lay the maps of layers, (N, *grid), over the features; they come along as ``map/<input>``.

    Parameters
    ----------
    method
        Says how.
    frame
        Where to write.
    found
        By feature: its layer.
    signed
        By layer.
    """
    op, values = frame.op, {}
    made = {k: op.Max(v, 0.0) if method.relu_attributions else v for k, v in signed.items()}
    for name, x in frame.problem.features.items():
        value = frame.value(name)
        if name in found:
            wide = over_feature(frame, found[name], name, made[found[name].layer], method.interpolate_mode)
            values[name] = frame.back(wide, name, x.ndim)
        else:
            zero = ir.tensor(np.zeros(1, ir.DataType(frame.kind_of(name)).numpy()))
            values[name] = op.ConstantOfShape(op.Shape(value), value=zero)
    extras = {}
    for name, one in found.items():
        shown = op.Cast(made[one.layer], to=frame.kind_of(name))
        shown.shape = ir.Shape(["batch", *one.layer.grid])
        extras[f"map/{one.input}"] = shown
    return Mapped(values, extras)


def over_space(op: Any, a: Any, layer: Layer) -> Any:
    """Sum (N, C, ...) over space, which stays with length 1."""
    return op.sum(a, range(2, 2 + len(layer.grid)), keepdims=True)


def by_channel(op: Any, weights: Any, a: Any) -> Any:
    """Return ``sum_c w_c A_c``, (N, ...), of weights that broadcast to activations (N, C, ...)."""
    return op.sum(op.Mul(weights, a), [1])


@singledispatch
def _signed(method: ActivationMap, frame: Frame, layer: Layer) -> ir.Value:
    """Write the map of a layer, (N, *grid), float64."""
    raise MethodError(
        f"what {type(method).__name__} makes of its layer cannot be written into a file; use the Explainer"
    )


@_signed.register(Cam)
@_signed.register(GradientMap)
def _of_gradients(method: Cam | GradientMap, frame: Frame, layer: Layer) -> ir.Value:
    value = frame.value(layer.name)
    (gradient,) = frame.gradients([value])
    a, g = (read_maps(frame, layer, v) for v in (value, gradient))
    return cast("ir.Value", _drawn(method, frame.op, a, g, layer))


@singledispatch
def _drawn(method: ActivationMap, op: Any, a: Any, g: Any, layer: Layer) -> Any:
    """Make a map of activations and gradients, (N, C, ...), as the method's ``drawn`` does in NumPy."""
    raise MethodError(
        f"what {type(method).__name__} draws of activations and gradients is NumPy, and cannot be written "
        "into a file"
    )


@_drawn.register
def _(method: Cam, op: Any, a: Any, g: Any, layer: Layer) -> Any:
    return by_channel(op, over_space(op, g, layer), a)


@_drawn.register
def _(method: GradCam, op: Any, a: Any, g: Any, layer: Layer) -> Any:
    return op.Div(by_channel(op, over_space(op, g, layer), a), float(np.prod(layer.grid)))


@_drawn.register
def _(method: GradCamPlusPlus, op: Any, a: Any, g: Any, layer: Layer) -> Any:
    below = op.Add(op.Mul(over_space(op, a, layer), g), 2.0)
    nothing = op.Equal(below, 0.0)
    shares = op.Where(nothing, 0.0, op.Div(1.0, op.Where(nothing, 1.0, below)))
    return by_channel(op, over_space(op, op.Mul(shares, op.Max(g, 0.0)), layer), a)


@_drawn.register
def _(method: HiResCam, op: Any, a: Any, g: Any, layer: Layer) -> Any:
    return by_channel(op, g, a)


@_drawn.register
def _(method: LayerCam, op: Any, a: Any, g: Any, layer: Layer) -> Any:
    return by_channel(op, op.Max(g, 0.0), a)


@_drawn.register
def _(method: XGradCam, op: Any, a: Any, g: Any, layer: Layer) -> Any:
    total, shares = over_space(op, a, layer), over_space(op, op.Mul(a, g), layer)
    counts = op.Greater(op.Abs(total), 1e-12)
    weights = op.Where(counts, op.Div(shares, op.Where(counts, total, 1.0)), 0.0)
    return by_channel(op, weights, a)


@_signed.register
def _shapley(method: ShapleyCam, frame: Frame, layer: Layer) -> ir.Value:
    op, value = frame.op, frame.value(layer.name)
    (gradient,) = frame.gradients([value])
    around = []
    for scale in (1 + method.step, 1 - method.step):
        moved = op.Mul(value, scale)
        around.append(read_maps(frame, layer, frame.gradient_beside(value, moved)))
    a, g = (read_maps(frame, layer, v) for v in (value, gradient))
    w = op.Sub(g, op.Div(op.Sub(around[0], around[1]), 4 * method.step))
    return cast("ir.Value", op.Div(by_channel(op, over_space(op, w, layer), a), float(np.prod(layer.grid))))


@_signed.register
def _eigen(method: EigenCam, frame: Frame, layer: Layer) -> ir.Value:
    """Project on the first singular vector, by powers of the smaller product of the matrix and itself."""
    op = frame.op
    a = read_maps(frame, layer, frame.value(layer.name))
    channels, places = cast("int", facts.static_dim(a, 1)), int(np.prod(layer.grid))
    rows = op.Transpose(op.Reshape(a, [0, channels, -1]), perm=[0, 2, 1])  # (N, P, C)
    if method.center:
        rows = op.Sub(rows, op.mean(rows, [1]))
    turned = op.Transpose(rows, perm=[0, 2, 1])
    few = places <= channels
    product = op.MatMul(rows, turned) if few else op.MatMul(turned, rows)
    first = _first_vector(op, product, min(places, channels))
    if few:  # the left singular vector, times the singular value
        along = op.MatMul(product, first)
        size = op.Sqrt(op.Max(op.ReduceSum(op.Mul(first, along), [1, 2], keepdims=1), 0.0))
        shown = op.Mul(first, size)
    else:
        shown = op.MatMul(rows, first)
    shown = op.Squeeze(shown, [2])  # (N, P)
    place = op.ArgMax(op.Abs(shown), axis=1, keepdims=1)
    largest = op.GatherElements(shown, place, axis=1)
    signed = op.Mul(shown, op.Where(op.Less(largest, 0.0), -1.0, 1.0))
    return cast("ir.Value", op.Reshape(signed, [0, *layer.grid]))


def _first_vector(op: Any, product: Any, size: int) -> Any:
    """Return the eigenvector of the largest eigenvalue of symmetric matrices (N, s, s): (N, s, 1), length 1.

    A power of the matrix is, up to a factor, that vector times itself; its column with the largest diagonal
    is taken.
    """
    tiny = float(np.finfo(np.float64).tiny)
    made = product
    for _ in range(_SQUARINGS):
        made = op.Div(made, op.Max(op.ReduceMax(op.Abs(made), [1, 2], keepdims=1), tiny))
        made = op.MatMul(made, made)
    diagonal = op.ReduceSum(op.Mul(made, op.const(np.eye(size))), [2], keepdims=0)
    place = op.Unsqueeze(op.ArgMax(diagonal, axis=1, keepdims=1), [2])  # (N, 1, 1)
    column = op.GatherElements(made, op.Add(place, op.const(np.zeros((1, size, 1), np.int64))), axis=2)
    length = op.Sqrt(op.ReduceSum(op.Mul(column, column), [1], keepdims=1))
    return op.Div(column, op.Max(length, tiny))

"""What layers compute, and gradients there, written into a graph: in the shapes of the layers."""

from __future__ import annotations

from typing import Any

from onnxplain.errors import MethodError
from onnxplain.maps.frame import Frame, Mapped
from onnxplain.maps.writing import write_map
from onnxplain.methods.inner.layers import LayerActivation, LayerGradientXActivation

__all__: list[str] = []


@write_map.register
def _activation(method: LayerActivation, frame: Frame) -> Mapped:
    if not method.layers():
        raise MethodError("layer_activation shows what a layer computes; name one (layer=...)")
    return Mapped({name: _as_features(frame, frame.value(name)) for name in method.layers()})


@write_map.register
def _gradient_x_activation(method: LayerGradientXActivation, frame: Frame) -> Mapped:
    names = method.layers() or tuple(frame.problem.features)
    values = [frame.value(name) for name in names]
    made: list[Any] = list(frame.gradients(values))
    if method.multiply_by_inputs:
        made = [frame.op.Mul(v, g) for v, g in zip(values, made, strict=True)]
    return Mapped({k: _as_features(frame, v) for k, v in zip(names, made, strict=True)})


def _as_features(frame: Frame, value: Any) -> Any:
    """Bring what is found of a layer into the features' dtype, as explainers have it."""
    made = frame.op.Cast(value, to=frame.kind_of(next(iter(frame.problem.features))))
    return frame.op.annotate(made, value)

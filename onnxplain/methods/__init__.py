"""Explanation methods: frozen dataclasses that compose, found by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from onnxplain.errors import MethodError
from onnxplain.methods.attention import AttentionRollout
from onnxplain.methods.base import Found, Method, OnePass
from onnxplain.methods.deeplift import DeepLift, DeepLiftShap
from onnxplain.methods.gradients import BetaSmooth, Deconvolution, GuidedBackprop, InputXGradient, Saliency
from onnxplain.methods.path import IntegratedGradients
from onnxplain.methods.relevance import LRP, ExcitationBackprop
from onnxplain.methods.smooth import SmoothGrad
from onnxplain.methods.visual import VisualBackProp

__all__ = [
    "LRP",
    "METHODS",
    "AttentionRollout",
    "BetaSmooth",
    "Deconvolution",
    "DeepLift",
    "DeepLiftShap",
    "ExcitationBackprop",
    "Found",
    "GuidedBackprop",
    "InputXGradient",
    "IntegratedGradients",
    "Method",
    "OnePass",
    "Saliency",
    "SmoothGrad",
    "VisualBackProp",
    "method",
]

#: All methods by name.
METHODS: dict[str, type[Method]] = {
    m.name: m
    for m in (
        Saliency,
        InputXGradient,
        IntegratedGradients,
        SmoothGrad,
        GuidedBackprop,
        Deconvolution,
        BetaSmooth,
        LRP,
        DeepLift,
        DeepLiftShap,
        ExcitationBackprop,
        VisualBackProp,
        AttentionRollout,
    )
}

_SHORT = {"ig": "integrated_gradients", "gradient": "saliency", "smoothgrad": "smooth_grad"}


def method(name: str | Method, **parameters: Any) -> Method:
    """Make a method by name.

    Parameters
    ----------
    name
        A name of :data:`METHODS` (``"ig"`` for integrated gradients), or a method, which is returned as it
        is.
    **parameters
        The method's parameters.

    Raises
    ------
    MethodError
        If the name or a parameter is unknown, or a value makes no sense.
    """
    if isinstance(name, Method):
        if parameters:
            raise MethodError("give parameters to the method itself, or give the method by name")
        return name
    kind = METHODS.get(_SHORT.get(name, name)) if isinstance(name, str) else None
    if kind is None:
        raise MethodError(f"there is no method '{name}'; choose one of {', '.join(METHODS)}")
    known = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in parameters:
        if key not in known:
            takes = ", ".join(known) or "none"
            raise MethodError(f"method '{kind.name}' has no parameter '{key}'; it takes: {takes}")
    try:
        return kind(**parameters)
    except TypeError as error:
        raise MethodError(f"method '{kind.name}' does not accept {parameters}: {error}") from error

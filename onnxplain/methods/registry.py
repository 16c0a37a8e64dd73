"""Methods by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnxplain import written
from onnxplain.errors import MethodError
from onnxplain.methods.base import Method
from onnxplain.options import make, nearest

__all__ = ["METHODS", "method"]

#: All methods by name; the package fills it.
METHODS: dict[str, type[Method]] = {}

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
    _refuse_class(name)
    kind = METHODS.get(_SHORT.get(name, name)) if isinstance(name, str) else None
    if kind is None:
        raise MethodError(
            f"there is no method '{name}'; choose one of {', '.join(METHODS)}{nearest(name, METHODS)}"
        )
    return make(kind, parameters, f"method '{kind.name}'")


def _refuse_class(given: object) -> None:
    if isinstance(given, type) and issubclass(given, Method):
        raise MethodError(f"{given.__name__} is a class; give a method made of it, {given.__name__}(...)")


def _rebuilt(name: str, parameters: Mapping[str, Any]) -> Method:
    """Make a method that a file of results describes."""
    if name not in METHODS:
        raise MethodError(f"there is no method '{name}'; choose one of {', '.join(METHODS)}")
    return METHODS[name].rebuilt(parameters)


written.register(_rebuilt)

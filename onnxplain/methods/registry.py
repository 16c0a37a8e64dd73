"""Methods by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from onnxplain.errors import MethodError
from onnxplain.methods.base import Method

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

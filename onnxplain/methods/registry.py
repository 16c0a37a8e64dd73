"""Methods by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from onnxplain import written
from onnxplain.errors import MethodError
from onnxplain.methods.base import Method
from onnxplain.options import by_name

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
    if not parameters and Method in type(name).__mro__:  # quicker told than an instance of an abstract class
        return name  # type: ignore[return-value]  # it is a method
    full = _SHORT.get(name, name) if isinstance(name, str) else name
    kind = METHODS.get(full) if isinstance(full, str) and not parameters else None
    if kind is not None:
        return _plain(kind)
    made: Method = by_name(full, parameters, Method, METHODS, "method")
    return made


@lru_cache(maxsize=256)
def _plain(kind: type[Method]) -> Method:
    """Return a method with its defaults, made once: nobody may change it."""
    made: Method = by_name(kind.name, {}, Method, {kind.name: kind}, "method")
    return made


def _rebuilt(name: str, parameters: Mapping[str, Any]) -> Method:
    """Make a method that a file of results describes."""
    if name not in METHODS:
        raise MethodError(f"there is no method '{name}'; choose one of {', '.join(METHODS)}")
    return METHODS[name].rebuilt(parameters)


written.register(_rebuilt)

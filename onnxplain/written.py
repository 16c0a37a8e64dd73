"""Methods in files: as they are written in Python, and as name and parameters where these say everything.

What stands in a file makes only methods that are registered here, and opens no other file; a method that
takes more than JSON holds (a function, a composite of one's own) comes back as it was written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from onnxplain.errors import OnnxplainError

__all__ = ["WrittenMethod", "from_record", "register", "to_record"]

Maker = Callable[[str, Mapping[str, Any]], object]

_makers: list[Maker] = []  # one, of the layer that knows the methods


class WrittenMethod(str):
    """A method of which only the written form is known; prints as the method would."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Write the method."""
        return str(self)


def register(maker: Maker) -> None:
    """Have methods made by a function of their name and parameters, which may refuse."""
    _makers[:] = [maker]


def to_record(method: object) -> dict[str, Any]:
    """Describe a method: ``method`` as written in Python, ``made`` from name and parameters (or None)."""
    try:
        return {"method": repr(method), "made": _parts(method)}
    except TypeError:
        return {"method": repr(method), "made": None}


def from_record(record: Mapping[str, Any]) -> object:
    """Make the method that was described, or return its written form where that cannot be.

    Raises
    ------
    TypeError, KeyError
        If this is no such description.
    """
    written, made = record["method"], record.get("made")
    if not isinstance(written, str):
        raise TypeError("the method is no text")
    if made is None:
        return WrittenMethod(written)
    try:
        method = _made(made)
    except (OnnxplainError, AttributeError, KeyError, TypeError, ValueError):
        return WrittenMethod(written)
    return method if repr(method) == written else WrittenMethod(written)


def _parts(value: Any) -> Any:
    """Return a parameter as JSON holds it.

    Raises
    ------
    TypeError
        If it cannot.
    """
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, WrittenMethod)):
        return value
    if isinstance(value, tuple):
        return [_parts(v) for v in value]
    if dataclasses.is_dataclass(value) and hasattr(value, "attribute") and hasattr(value, "name"):
        parameters = {f.name: _parts(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"name": value.name, "parameters": parameters}
    raise TypeError(f"JSON holds no {type(value).__name__}")


def _made(parts: Any) -> Any:
    if isinstance(parts, list):
        return tuple(_made(p) for p in parts)
    if not isinstance(parts, dict):
        return parts
    (maker,) = _makers
    return maker(parts["name"], {k: _made(v) for k, v in parts["parameters"].items()})

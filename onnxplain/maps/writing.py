"""Who writes which method: one function for each kind, found by its class."""

from __future__ import annotations

from functools import singledispatch

from onnxplain.errors import MethodError
from onnxplain.maps.frame import Frame, Mapped
from onnxplain.methods.base import Method

__all__ = ["can_be_mapped", "write_map"]


@singledispatch
def write_map(method: Method, frame: Frame) -> Mapped:
    """Write what a method makes of values inside a model.

    Raises
    ------
    MethodError
        If it cannot be written.
    NotExplainableError
        If the model has no such values.
    """
    raise MethodError(f"what {method.name} makes of values inside cannot be written into a file")


def can_be_mapped(method: Method) -> bool:
    """Tell whether a method is written by :func:`write_map`."""
    return write_map.dispatch(type(method)) is not write_map.dispatch(Method)

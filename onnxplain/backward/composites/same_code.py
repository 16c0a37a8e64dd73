"""Functions that count as equal where they must do the same: a lambda written in a loop is one function."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from types import CodeType, FunctionType
from typing import Any

import numpy as np

__all__ = ["SameCode", "same_code"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)
#: Modules whose functions nobody replaces.
_FIXED = (math, np)


class SameCode:
    """A function that equals others of the same code, if all that they refer to is equal, too."""

    def __init__(self, function: FunctionType, key: Hashable) -> None:
        self.function = function
        self._key = key

    def __call__(self, *operands: Any) -> Any:
        """Call the function."""
        return self.function(*operands)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SameCode) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return repr(self.function)

    def __reduce__(self) -> tuple[Any, ...]:
        return same_code, (self.function,)


def same_code(value: Any) -> Any:
    """Return a Python function as :class:`SameCode`; anything else, and what may change its mind, as it is.

    What a function refers to must be numbers, texts, tuples of these, or such functions: anything else may be
    something else at the next call.
    """
    if not isinstance(value, FunctionType):
        return value
    try:
        return SameCode(value, _function(value, ()))
    except _MayChangeError:
        return value


class _MayChangeError(Exception):
    """Something that a function refers to is no constant."""


def _function(function: FunctionType, outer: tuple[FunctionType, ...]) -> Hashable:
    if function in outer:  # it calls itself
        return outer.index(function)
    inside = (*outer, function)
    try:
        cells = [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:  # not yet filled
        raise _MayChangeError from None
    named = {
        name: function.__globals__[name] for name in _names(function.__code__) if name in function.__globals__
    }
    keywords = function.__kwdefaults__ or {}
    return (
        function.__code__,
        _constants((*cells, *(function.__defaults__ or ())), inside),
        tuple(sorted((k, _constant(v, inside)) for k, v in keywords.items())),
        tuple((k, _constant(v, inside)) for k, v in sorted(named.items())),
    )


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _constants(values: tuple[Any, ...], inside: tuple[FunctionType, ...]) -> Hashable:
    return tuple(_constant(v, inside) for v in values)


def _constant(value: Any, inside: tuple[FunctionType, ...]) -> Hashable:
    if isinstance(value, _PLAIN):
        return type(value).__name__, repr(value)
    if isinstance(value, tuple) and type(value) is tuple:
        return _constants(value, inside)
    if isinstance(value, FunctionType):
        return _function(value, inside)
    if any(value is module for module in _FIXED):
        return str(value.__name__)
    raise _MayChangeError

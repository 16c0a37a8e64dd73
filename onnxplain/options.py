"""Options of methods, explainers and calls: checked in one way, before anything runs.

What an option may be is its annotation: a type, and bounds with the words that say them (:data:`Count`,
:data:`Weight`).  pydantic does the checking, strictly: a bool is no number, and a number no text; NumPy's
scalars count as Python's.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import onnx
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

from onnxplain.errors import MethodError, OnnxplainError, OptionError
from onnxplain.forking import quiet

__all__ = [
    "Bytes",
    "Count",
    "OneOf",
    "Opset",
    "Positive",
    "Seed",
    "Share",
    "Weight",
    "by_name",
    "check_fields",
    "check_names",
    "check_option",
    "make",
    "nearest",
]

_Made = TypeVar("_Made")

#: How many of something.
Count: TypeAlias = Annotated[
    int, Field(ge=1, le=10**6, description="a whole number of at least 1 (and at most 1,000,000)")
]

#: A version of the standard operators that files are written in.
Opset: TypeAlias = Annotated[
    int,
    Field(
        ge=11,
        le=onnx.defs.onnx_opset_version(),
        description=f"a whole number from 11 to {onnx.defs.onnx_opset_version()}",
    ),
]

#: Memory.
Bytes: TypeAlias = Annotated[int, Field(ge=1, description="a whole number of bytes, of at least 1")]

#: What random numbers are made from.
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**64, description="a whole number from 0 to below 2**64")]

#: A magnitude that may be 0, and that float32 can hold.
Weight: TypeAlias = Annotated[
    float,
    Field(ge=0, le=1e37, description="a number that is not negative (0, or 1e-37 to 1e37)"),
    AfterValidator(lambda number: _held(number)),
]

#: A part of a whole.
Share: TypeAlias = Annotated[
    float,
    Field(ge=0, le=1, description="a number from 0 to 1"),
    AfterValidator(lambda number: _held(number)),
]

#: A magnitude above 0.
Positive: TypeAlias = Annotated[
    float, Field(ge=1e-37, le=1e37, description="a number above 0 (1e-37 to 1e37)")
]

_CONFIG = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
_WORDS = {
    int: "a whole number",
    float: "a finite number",
    bool: "True or False",
    str: "a text",
    type(None): "None",
}
_LONGEST = 60


class OneOf:
    """Annotates an option that is an instance of one of some classes; nothing inside it is looked at."""

    def __init__(self, *kinds: type) -> None:
        self.kinds = kinds

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.is_instance_schema(self.kinds)


def make(factory: Callable[..., _Made], options: Mapping[str, Any], what: str) -> _Made:
    """Make something from options by name.

    Parameters
    ----------
    factory
        What makes it; its parameters are the options.  Of a function they are checked by its annotations; a
        class checks its fields itself.
    options
        By name.
    what
        How errors call it, such as ``"rule 'gamma'"``.

    Raises
    ------
    MethodError
        If an option is unknown, is missing, or is not what it may be.
    """
    takes = _parameters(factory)
    check_names(options, takes, what)
    missing = [k for k, p in takes.items() if p.default is p.empty and k not in options]
    if missing:
        raise MethodError(f"{what} needs {' and '.join(missing)}")
    hints = {} if isinstance(factory, type) else _annotations(factory)
    given = {
        key: check_option(f"{what}: {key}", value, hints[key], MethodError) if key in hints else value
        for key, value in options.items()
    }
    return factory(**given)


def by_name(
    given: Any, parameters: Mapping[str, Any], base: type, known: Mapping[str, Any], what: str
) -> Any:
    """Make something by name, or return it as it is given.

    Parameters
    ----------
    given
        A name, or an instance of ``base``.
    parameters
        Of what is made.
    base
        The class of all that there is.
    known
        Classes by name.
    what
        How errors call it: ``"method"``.

    Raises
    ------
    MethodError
        If the name or a parameter is unknown, a value makes no sense, or a class is given.
    """
    if isinstance(given, base):
        if parameters:
            raise MethodError(f"give parameters to the {what} itself, or give the {what} by name")
        return given
    if isinstance(given, type) and issubclass(given, base):
        raise MethodError(f"{given.__name__} is a class; give a {what} made of it, {given.__name__}(...)")
    kind = known.get(given) if isinstance(given, str) else None
    if kind is None:
        raise MethodError(
            f"there is no {what} '{given}'; choose one of {', '.join(known)}{nearest(given, known)}"
        )
    return make(kind, parameters, f"{what} '{kind.name}'")


def check_names(names: Iterable[str], known: Collection[str], what: str) -> None:
    """Refuse options that something does not take.

    Raises
    ------
    MethodError
        If there is one; it names what is taken, and what was probably meant.
    """
    for name in names:
        if name not in known:
            takes = ", ".join(known) or "no options"
            raise MethodError(f"{what} does not take '{name}'; it takes {takes}{nearest(name, known)}")


def nearest(name: object, known: Iterable[str]) -> str:
    """Ask whether the known name that is closest to an unknown one was meant; empty where none is close."""
    found = difflib.get_close_matches(str(name), list(known), 1)
    return f" (did you mean '{found[0]}'?)" if found else ""


def check_option(name: str, value: Any, hint: Any, error: type[OnnxplainError] = OptionError) -> Any:
    """Return an option's value as a plain Python one.

    Parameters
    ----------
    name
        Of the option.
    value
        As given.
    hint
        What it may be: a type, or one with bounds.
    error
        What to raise.

    Raises
    ------
    OnnxplainError
        Of the kind asked for, if the value is something else.
    """
    plain = _plain(value)
    try:
        return _adapter(hint).validate_python(plain)
    except ValidationError:
        shown = " ".join(ascii(value).split())
        shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
        raise error(f"{name} is {shown}; give {_words(hint)}") from None


def check_fields(instance: Any, error: type[OnnxplainError]) -> None:
    """Check the fields of a frozen dataclass by their annotations, and put plain values in their places.

    Raises
    ------
    OnnxplainError
        Of the kind asked for, if a field is not what its annotation says.
    """
    kind: Any = type(instance)
    for name, hint in _hints(kind).items():
        value = getattr(instance, name)
        checked = check_option(f"{kind.__name__}: {name}", value, hint, error)
        if checked is not value:
            object.__setattr__(instance, name, checked)


@lru_cache(maxsize=256)
def _hints(kind: Any) -> dict[str, Any]:
    """Return the annotations of a dataclass's fields."""
    found = _annotations(kind)
    return {f.name: found[f.name] for f in dataclasses.fields(kind) if f.name in found}


@lru_cache(maxsize=256)
def _parameters(of: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(of).parameters


def _annotations(of: Any) -> dict[str, Any]:
    """Return annotations by name; none where they name what cannot be found."""
    try:
        return get_type_hints(of, include_extras=True)
    except NameError:  # of a class written inside a function, say
        return {}


@lru_cache(maxsize=256)
def _adapter(hint: Any) -> TypeAdapter[Any]:
    with quiet:  # pydantic has locks of its own
        return TypeAdapter(hint, config=_CONFIG)


def _plain(value: Any) -> Any:
    """Return NumPy's scalars as Python's, and lists and arrays as tuples."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        return value.item()
    if isinstance(value, np.ndarray):
        return tuple(value.ravel().tolist())
    return tuple(_plain(v) for v in value) if isinstance(value, (list, tuple)) else value


def _held(number: float) -> float:
    """Refuse what float32 cannot tell from 0."""
    if 0 < number < 1e-37:
        raise ValueError("too small")
    return number


def _words(hint: Any) -> str:
    """Say what an option may be."""
    parts = list(dict.fromkeys(_alternatives(hint)))
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def _alternatives(hint: Any) -> list[str]:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        told = [m.description for m in parts[1:] if isinstance(m, FieldInfo) and m.description]
        return told or _alternatives(parts[0])
    if origin is Literal:
        return [repr(p) for p in parts]
    if origin in (Union, types.UnionType):
        return [words for part in parts for words in _alternatives(part)]
    if origin is tuple:
        return [f"a tuple, each entry {_words(parts[0])}"]
    if origin is Callable:
        return ["a function"]
    return [_WORDS.get(hint) or f"a {getattr(hint, '__name__', hint)}"]

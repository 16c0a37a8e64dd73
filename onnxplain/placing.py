"""``layer=`` and ``neuron=``: which value inside a model is explained, or explains."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from onnxplain.errors import DataInputError, MethodError, TargetError
from onnxplain.methods import Method

__all__ = ["Placed", "place", "renamed"]

_PAIR = 2

#: What parameters mostly are; asked first, for it takes longer to tell that something is no method.
_PLAIN = (bool, int, float, str, type(None))


class Placed(NamedTuple):
    """Where a call looks inside a model: method, target, output and explained values with that said."""

    method: Method
    target: Any
    output: str | None
    wrt: str | Sequence[str] | None


def place(given: Placed, layer: str | Sequence[str] | None, neuron: Any) -> Placed:
    """Say where a layer and a neuron belong.

    A method that has a parameter of that name gets it.  For all others, a layer is what is explained, as by
    ``wrt``, and an entry of a neuron's layer is the score, as by ``output`` and ``target``.

    Parameters
    ----------
    given
        What the call says otherwise.
    layer
        Name of an inner value, or several.
    neuron
        Pair of the name of an inner value, and whatever is a target there.

    Raises
    ------
    DataInputError, MethodError, TargetError
        If two arguments say different things, or the neuron is no such pair.
    """
    if layer is not None:
        given = _at_layer(given, layer)
    return given if neuron is None else _of_neuron(given, neuron)


def renamed(method: Method, name: Callable[[str], str]) -> Method:
    """Return a method whose layers and neurons bear the names of values."""
    if not _looks_inside(method):
        return method

    def layers(held: Any) -> Any:
        if isinstance(held, tuple):
            return tuple(map(layers, held))
        return name(held) if isinstance(held, str) else held

    def neurons(held: Any) -> Any:
        return held and (name(held[0]), *held[1:])

    method = _changed(method, "layer", layers) or method
    return _changed(method, "neuron", neurons) or method


def _looks_inside(method: Any) -> bool:
    """Tell whether a method has a layer or a neuron, or is made of another, which might."""
    return any(
        name in ("layer", "neuron")
        or (type(held := getattr(method, name)) not in _PLAIN and isinstance(held, Method))
        for name in _fields(method)
    )


def _fields(method: object) -> tuple[str, ...]:
    kind: Any = type(method)
    return _fields_of(kind)


@lru_cache(maxsize=256)
def _fields_of(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else ()


def _at_layer(given: Placed, layer: str | Sequence[str]) -> Placed:
    def once(held: Any) -> Any:
        if held is not None and held != layer:
            raise MethodError(f"the method's layer is {held!r}, and layer= is {layer!r}; give one of them")
        return layer

    chosen = _changed(given.method, "layer", once)
    if chosen is not None:
        return given._replace(method=chosen)
    if given.wrt is not None:
        raise DataInputError("layer= and wrt= both say what is explained; give one of them")
    return given._replace(wrt=layer)


def _of_neuron(given: Placed, neuron: Any) -> Placed:
    if not isinstance(neuron, (tuple, list)) or len(neuron) != _PAIR or not isinstance(neuron[0], str):
        raise TargetError(
            f"neuron is {neuron!a:.60}; give the name of an inner value and an index of one sample's entry, "
            "such as ('relu_3', (5, 0, 0))"
        )
    chosen = _changed(given.method, "neuron", lambda _: tuple(neuron))
    if chosen is not None:
        return given._replace(method=chosen)
    if given.output is not None or given.target is not None:
        raise TargetError("neuron= says what the score is, and so do output= and target=; leave these out")
    return given._replace(output=neuron[0], target=neuron[1])


def _changed(method: Any, field: str, change: Callable[[Any], Any]) -> Any:
    """Return a method, or the one that it is made of, with another parameter; None if there is none."""
    held = {name: getattr(method, name) for name in _fields(method)}
    if field in held:
        made = change(held[field])
        return method if made == held[field] else replace(method, **{field: made})
    for name, inner in held.items():
        changed = _changed(inner, field, change) if isinstance(inner, Method) else None
        if changed is not None:
            return method if changed == inner else replace(method, **{name: changed})
    return None

"""What a walk carries backward: a value for each value, or several that belong together."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import onnx_ir as ir

from onnxplain.backward.emitter import Emitter

__all__ = ["Cotangent", "Several", "each", "one_by_one", "size"]


class Several(abc.ABC):
    """Several values in the place of one: one for each part that a walk tells apart."""

    @property
    @abc.abstractmethod
    def values(self) -> tuple[ir.Value, ...]:
        """The values."""

    @abc.abstractmethod
    def remade(self, values: Sequence[ir.Value]) -> Several:
        """Return the same of other values."""

    @abc.abstractmethod
    def single(self, op: Emitter, value: ir.Value) -> ir.Value:
        """Return what goes with the whole of the value that a walk ends at."""


#: What arrives at a value.
Cotangent: TypeAlias = ir.Value | Several

_Made = TypeVar("_Made")


def _runs(run: Callable[..., _Made], cotangents: Sequence[Any]) -> tuple[Several | None, list[_Made]]:
    """Call a function once, or once for each of several values; values by themselves go into each call."""
    several = next((c for c in cotangents if isinstance(c, Several)), None)
    if several is None:
        return None, [run(*cotangents)]
    count = len(several.values)
    columns = [c.values if isinstance(c, Several) else (c,) * count for c in cotangents]
    return several, [run(*row) for row in zip(*columns, strict=True)]


def each(run: Callable[..., ir.Value], *cotangents: Any) -> Any:
    """Return what a function makes of cotangents, which are values or None: of several, several."""
    several, made = _runs(run, cotangents)
    return made[0] if several is None else several.remade(made)


def one_by_one(
    run: Callable[..., list[tuple[ir.Value, Any]]], cotangents: Sequence[Any]
) -> list[tuple[ir.Value, Any]]:
    """Return what a rule that takes values by themselves hands on, by the value that it is for."""
    several, made = _runs(run, cotangents)
    if several is None:
        return made[0]
    return [(row[0][0], several.remade([part for _, part in row])) for row in zip(*made, strict=True)]


def size(op: Emitter, cotangent: Cotangent) -> ir.Value:
    """Return a value that is 0 where the cotangent is, and nowhere else."""
    if not isinstance(cotangent, Several):
        return cotangent
    made: ir.Value = op.Max(*(op.Abs(v) for v in cotangent.values))
    return made

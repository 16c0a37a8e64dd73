"""What is known of a value: its shape, where its samples lie, and its content where that is arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array

__all__ = ["FEW", "At", "Dims", "Found", "List", "Lost", "Mixes", "Value", "rows_alike"]

Dims: TypeAlias = "tuple[int | None, ...]"

#: Contents with more elements than this are not computed ahead.
FEW = 4096


class Mixes(Exception):  # noqa: N818  (a finding, not an error)
    """A rule found that a node mixes samples, or cannot say that it does not; the message is the reason."""


@dataclass(frozen=True)
class At:
    """Where the samples lie in a value: along one axis of length ``outer * n * inner``.

    Sample ``i`` of ``n`` has the entries ``(o * n + i) * inner + r``; a batch axis has ``outer = inner = 1``,
    others come from reshaping ``[N, T, F]`` to ``[N * T, F]`` or ``[T, N, F]`` to ``[T * N, F]``.
    """

    axis: int
    outer: int = 1
    inner: int = 1

    @property
    def whole(self) -> bool:
        """Whether the axis counts samples and nothing else."""
        return self.outer == self.inner == 1

    def length(self, n: int) -> int:
        """Return the axis' length for ``n`` samples."""
        return self.outer * n * self.inner

    def moved(self, axis: int) -> At:
        """Return the same place on another axis."""
        return replace(self, axis=axis)


@dataclass(frozen=True)
class Lost:
    """A value of which nothing is proven, the first node at fault, and its place in the order of the walk."""

    node: str
    reason: str
    order: int = 0


@dataclass(frozen=True)
class Value:
    """A tensor.

    Attributes
    ----------
    shape
        At the first of the batch sizes tried; None for a length, or the rank, that is not known.
    dtype
        ONNX's number for its type.
    at
        Where its samples lie; None: it does not depend on them.
    alike
        Whether all entries along the axis of the samples are the same (what was filled or expanded to the
        batch's size).
    contents
        Its content at each of the batch sizes tried, where it was computed ahead, or is a small constant.
    constant
        The content of a constant, however large.
    taint
        Why its content is not that of samples alone (it has to do with their number, or numbers them), though
        its shape and place are proven; None where it is fine.
    number
        Whether every entry is the number of its sample.
    columns
        Entries of the last axis that are the number of their sample, where nothing else taints it.
    guess
        Whether some length in its shape or content is a stand-in for one that only a run can tell (but that
        no sample decides).
    """

    shape: Dims | None
    dtype: int
    at: At | None = None
    alike: bool = False
    contents: tuple[Array, ...] | None = None
    constant: ir.TensorProtocol | None = None
    taint: Lost | None = None
    number: bool = False
    columns: frozenset[int] = frozenset()
    guess: bool = False

    @property
    def sized(self) -> bool:
        """Whether its content depends on the batch size (but on no sample)."""
        return self.contents is not None and self.at is None and not _same(self.contents)

    @property
    def rank(self) -> int:
        """The number of axes."""
        if self.shape is None:
            raise Mixes("the rank of what it reads is not known before running")
        return len(self.shape)

    def dims(self, n: int, first: int) -> Dims | None:
        """Return the shape at a batch size, given the one that :attr:`shape` is for."""
        if self.shape is None or self.at is None or n == first:
            return self.shape
        axis = self.at.axis
        return (*self.shape[:axis], self.at.length(n), *self.shape[axis + 1 :])

    def array(self) -> Array | None:
        """Return the content, if it is one and known."""
        if self.contents is not None and not self.sized:
            return self.contents[0]
        return None if self.constant is None else np.asarray(self.constant.numpy())


@dataclass(frozen=True)
class List:
    """A sequence (or an optional) whose elements all look like one value; None for an empty one."""

    element: Value | None


Found: TypeAlias = "Value | List | Lost"


def _same(contents: Sequence[Array]) -> bool:
    first = contents[0]
    return all(c is first or np.array_equal(c, first, equal_nan=c.dtype.kind == "f") for c in contents[1:])


def rows_alike(value: Value, axis: int) -> bool:
    """Tell whether all entries of a value that depends on no sample are the same along an axis."""
    if value.shape is not None and value.shape[axis] == 1:
        return True
    array = value.array()
    if array is None:
        return False
    first = array.take([0], axis) if array.shape[axis] else array
    return bool(np.array_equal(np.broadcast_to(first, array.shape), array))

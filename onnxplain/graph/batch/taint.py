"""Values whose content has to do with the number of samples, or that number them.

They may lie beside samples, and their shapes may be asked for, as long as nothing that matters is made of
them: the walk carries the taint along.  One use is clean: ``x[arange(n), index]``, where each sample's own
number picks its own row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.batch.table import Row
from onnxplain.graph.batch.values import At, Found, List, Lost, Value
from onnxplain.graph.traits import movers

__all__ = ["data_of", "marked", "taint_of"]

#: Where the samples stay apart, they leave every entry with its sample.
_MOVERS = movers()
_INTEGERS = frozenset({6, 7})


def taint_of(inputs: Sequence[Found | None], besides: Sequence[int] = ()) -> Lost | None:
    """Return the first input's taint."""
    for k, found in enumerate(inputs):
        value = found.element if isinstance(found, List) else found
        if isinstance(value, Value) and value.taint is not None and k not in besides:
            return value.taint
    return None


def marked(node: ir.Node, row: Row, inputs: Sequence[Found | None], found: Sequence[Found]) -> list[Found]:
    """Hand the taint of inputs on to outputs, and what is known about numbers in them."""
    taint = taint_of(inputs, row.cleans)
    if taint is None:
        return list(found)
    first = inputs[0]
    number = isinstance(first, Value) and first.number and node.op_type in _MOVERS
    columns = _columns(node, inputs) if node.op_type == "Concat" else frozenset()
    made: list[Found] = []
    for value in found:
        if isinstance(value, List) and value.element is not None:
            made.append(List(replace(value.element, taint=taint)))
        elif isinstance(value, Value):
            whole = number and value.dtype in _INTEGERS
            made.append(replace(value, taint=taint, number=whole, columns=columns))
        else:
            made.append(value)
    return made


def _columns(node: ir.Node, inputs: Sequence[Found | None]) -> frozenset[int]:
    """Return which entries of the last axis are numbers of samples, if all others are clean."""
    axis, start = facts.attr(node, "axis", 0), 0
    assert isinstance(axis, int)
    columns: set[int] = set()
    for value in inputs:
        if not isinstance(value, Value) or value.shape is None or axis not in (-1, len(value.shape) - 1):
            return frozenset()
        length = value.shape[-1]
        if length is None or (value.taint is not None and not value.number):
            return frozenset()
        if value.number:
            columns |= set(range(start, start + length))
        start += length
    return frozenset(columns)


def data_of(value: Value, sizes: Sequence[int], taint: Lost) -> Value:
    """Take what was computed from the batch size for data.

    Parameters
    ----------
    value
        It has contents, which differ between the batch sizes.
    sizes
        The batch sizes.
    taint
        What to say if the content is not the same for all samples.

    Returns
    -------
    Value
        Placed where it grows with the batch; clean if all its rows are alike.
    """
    arrays = value.contents
    assert arrays is not None
    unplaced = replace(value, contents=None, taint=taint)
    if len({a.ndim for a in arrays}) > 1:
        return replace(unplaced, shape=None)
    varying = [k for k in range(arrays[0].ndim) if len({a.shape[k] for a in arrays}) > 1]
    if not varying:
        return unplaced
    axis = varying[0]
    times = arrays[0].shape[axis] // sizes[0]
    if len(varying) > 1 or any(a.shape[axis] != times * n for a, n in zip(arrays, sizes, strict=True)):
        return replace(unplaced, shape=None)
    placed = Value(arrays[0].shape, value.dtype, At(axis, 1, times), guess=value.guess)
    row = arrays[0].take([0], axis)
    if all(np.array_equal(np.broadcast_to(row, a.shape), a) for a in arrays):
        return replace(placed, alike=True)
    number = times == 1 and all(_counts(a, axis) for a in arrays)
    return replace(placed, taint=taint, number=number)


def _counts(array: Array, axis: int) -> bool:
    """Tell whether every entry is its position along an axis."""
    shape = [1] * array.ndim
    shape[axis] = -1
    return bool(
        np.array_equal(np.broadcast_to(np.arange(array.shape[axis]).reshape(shape), array.shape), array)
    )

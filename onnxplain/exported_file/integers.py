"""Weights that a model holds as 8-bit integers stay so in the file, and become floats when it is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.exported_file.scopes import free_scope, graphs_of
from onnxplain.graph.build import Ops

__all__ = ["integers_of", "keep_integers"]

_ENTRIES = 1024
_BYTES = frozenset({ir.DataType.INT8, ir.DataType.UINT8})
#: A quotient of two rounded numbers may be this many steps of float32 from the scale.
_STEPS = (0, 1, -1, 2, -2)


@dataclass(frozen=True)
class _Way:
    """How floats are made of integers: ``(integers - zero) * scale``, in another order of axes."""

    which: int
    zero: int
    scale: Array
    order: tuple[int, ...]


def integers_of(model: ir.Model) -> list[Array]:
    """Return the large 8-bit weights of a model as it was read, and its zero points behind them."""
    tensors = [v.const_value for v in model.graph.initializers.values()]
    held = [a.value for node in model.graph.all_nodes() for a in node.attributes.values()]
    tensors += [t for t in held if isinstance(t, ir.TensorProtocol)]
    arrays = [t.numpy() for t in tensors if t is not None and t.dtype in _BYTES]
    return [a for a in arrays if a.size >= _ENTRIES or a.size == 1]


def keep_integers(model: ir.Model, integers: Sequence[Array]) -> int:
    """Let nodes make floats of integers where these give the same in every entry.

    The nodes read constants alone, so that a runtime which folds constants computes them once.

    Parameters
    ----------
    model
        The finished model; it is changed.
    integers
        What :func:`integers_of` the source gave.

    Returns
    -------
    int
        Bytes that the file became smaller by.
    """
    large = [a for a in integers if a.size >= _ENTRIES]
    zeros = sorted({0, *(int(a.reshape(-1)[0]) for a in integers if a.size == 1)})
    if not large:
        return 0
    return sum(_keep(graph, large, zeros, model) for graph in graphs_of(model))


def _keep(graph: ir.Graph, integers: Sequence[Array], zeros: Sequence[int], model: ir.Model) -> int:
    given = set(graph.inputs) | set(graph.outputs)
    ways: dict[ir.Value, _Way] = {}
    for value in graph.initializers.values():
        tensor = value.const_value
        if value in given or tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < _ENTRIES:
            continue
        way = _find(np.asarray(tensor.numpy()), integers, zeros)
        if way is not None:
            ways[value] = way
    if not ways:
        return 0
    op = Ops(graph, 18, free_scope(model, "integers"))
    op.before = next(iter(graph))
    held: dict[int, ir.Value] = {}
    saved = 0
    for value, way in ways.items():
        assert value.const_value is not None
        wanted = tuple(int(d) for d in value.const_value.shape.numpy())
        source = integers[way.which]
        if way.which not in held:
            held[way.which] = op.initializer(source)
            saved -= source.nbytes
        made = op.Cast(held[way.which], to=int(ir.DataType.FLOAT), _fold=False)
        if way.zero:
            made = op.Sub(made, op.initializer(np.array(way.zero, np.float32)), _fold=False)
        made = op.Mul(made, op.initializer(way.scale), _fold=False)
        if way.order != tuple(range(source.ndim)):
            made = op.Transpose(made, perm=list(way.order), _fold=False)
        if tuple(source.shape[k] for k in way.order) != wanted:
            made = op.Reshape(made, op.initializer(np.array(wanted, np.int64)), _fold=False)
        saved += value.const_value.nbytes
        graph.initializers.pop(str(value.name))
        value.replace_all_uses_with(made)
    return saved


def _find(floats: Array, integers: Sequence[Array], zeros: Sequence[int]) -> _Way | None:
    """Find integers, and a scale for all or for each entry of an axis, that give these floats exactly."""
    lengths = sorted(d for d in floats.shape if d != 1)
    for which, whole in enumerate(integers):
        if sorted(d for d in whole.shape if d != 1) != lengths:
            continue
        for order in _orders(whole.shape, floats.shape):
            moved = floats.reshape([whole.shape[k] for k in order]).transpose(np.argsort(order))
            for zero in zeros:
                steps = whole.astype(np.float32) - np.float32(zero)
                if not np.array_equal(steps == 0, moved == 0):
                    continue
                for axis in (None, *range(whole.ndim)):
                    scale = _scale(moved, steps, axis)
                    if scale is not None:
                        return _Way(which, zero, scale, order)
    return None


def _orders(source: tuple[int, ...], wanted: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    wide = [k for k, d in enumerate(source) if d != 1]
    narrow = [k for k, d in enumerate(source) if d == 1]
    for order in permutations(wide) if len(wide) <= 4 else ():
        if [source[k] for k in order] == [d for d in wanted if d != 1]:
            yield tuple(range(len(source))) if list(order) == wide else (*order, *narrow)


def _scale(floats: Array, steps: Array, axis: int | None) -> Array | None:
    """Return by what whole steps give floats exactly, along an axis or for all; None if nothing does."""
    count = 1 if axis is None else floats.shape[axis]
    y, q = (np.reshape(a if axis is None else np.moveaxis(a, axis, 0), (count, -1)) for a in (floats, steps))
    most = np.abs(q).argmax(1)
    at = np.arange(len(q)), most
    largest = q[at]
    first = np.where(largest == 0, 1, y[at].astype(np.float64) / np.where(largest == 0, 1, largest))
    found, done = first.astype(np.float32), np.zeros(len(q), bool)
    for step in _STEPS:
        tried = first.astype(np.float32)
        for _ in range(abs(step)):
            tried = np.nextafter(tried, np.float32(np.inf if step > 0 else -np.inf))
        right = np.all(q * tried[:, None] == y, axis=1) & ~done
        found[right] = tried[right]
        done |= right
        if done.all():
            break
    if not done.all():
        return None
    shape = [1] * floats.ndim
    if axis is not None:
        shape[axis] = len(found)
    return found.reshape(shape if axis is not None else ())

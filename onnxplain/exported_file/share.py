"""Weights once: what is a copy of another weight, or made of one by moving or cutting it, is made at load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.exported_file.scopes import free_scope, graphs_of
from onnxplain.graph import facts
from onnxplain.graph.build import Ops

__all__ = ["share_weights"]

#: Smaller weights stay as they are: the nodes would cost more.
_ENTRIES = 1024
#: Entries of a weight that are looked at together.
_PIECE = 1 << 18
_WORD = 1 << 64
_Print: TypeAlias = "tuple[tuple[int, ...], int, int]"
_Cut: TypeAlias = "Callable[[Array], Array]"

_CUTS: dict[str, _Cut] = {
    "": lambda w: w,
    "positive": lambda w: np.maximum(w, 0),
    "negative": lambda w: np.minimum(w, 0),
    "abs": np.abs,
    "square": lambda w: w * w,
}


@dataclass(frozen=True)
class _Way:
    """How a weight is made of another."""

    base: ir.Value
    cut: str
    flipped: bool
    order: tuple[int, ...]


def share_weights(model: ir.Model) -> int:
    """Replace weights that are others' copies, moved, flipped or cut, by nodes that make them.

    A weight is replaced only if what the nodes make is equal in every entry.  The nodes read constants alone,
    so that a runtime which folds constants computes them once, when it loads the file.

    Parameters
    ----------
    model
        The finished model; it is changed.

    Returns
    -------
    int
        Bytes that the file became smaller by.
    """
    return sum(_share(graph, model) for graph in graphs_of(model))


def _share(graph: ir.Graph, model: ir.Model) -> int:
    given = set(graph.inputs) | set(graph.outputs)
    large = [
        v
        for v in graph.initializers.values()
        if v not in given and v.const_value is not None and _counts(v.const_value)
    ]
    large.sort(key=_is_written)  # the model's own come first
    alike = Counter(map(_kind, large))
    known: dict[_Print, list[tuple[ir.Value, str]]] = {}
    held: dict[ir.Value, Array] = {}
    ways: dict[ir.Value, _Way] = {}
    for value in large:
        kind = _kind(value)
        if alike[kind] == 1:
            continue  # there is nothing that it could be a copy of
        assert value.const_value is not None
        array = value.const_value.numpy()
        cuts = _CUTS if value.dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE) else {"": _CUTS[""]}
        prints = _prints(array, cuts)
        if prints is None:
            continue
        way = _find(array, known.get((kind, *prints[""]), []), held)
        if way is not None:
            ways[value] = way
            continue
        held[value] = array
        for name, sums in prints.items():
            known.setdefault((kind, *sums), []).append((value, name))
    return _replace(graph, ways, model)


def _kind(value: ir.Value) -> tuple[int, ...]:
    """Return what copies have in common before anything of them is read: dtype, and lengths but for 1."""
    assert value.const_value is not None
    lengths = sorted(int(d) for d in value.const_value.shape.numpy() if d != 1)
    return (int(value.const_value.dtype), *lengths)


def _counts(tensor: ir.TensorProtocol) -> bool:
    plain = tensor.dtype in facts.FLOATS | facts.INTEGERS and tensor.dtype.bitwidth >= 8
    return plain and tensor.dtype != ir.DataType.BFLOAT16 and tensor.size >= _ENTRIES


def _is_written(value: ir.Value) -> bool:
    return str(value.name).startswith("onnxplain/") or "/flipped" in str(value.name)


def _prints(array: Array, cuts: Mapping[str, _Cut]) -> dict[str, tuple[int, int]] | None:
    """Return, by cut, what stays the same however entries are moved; None where one is no finite number.

    The weight is read piece by piece: what is held beside it does not grow with it.
    """
    flat = array.reshape(-1) if array.flags.c_contiguous else array.ravel(order="K")  # in memory's order
    sums = dict.fromkeys(cuts, (0, 0))
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE]
        if piece.dtype.kind == "f":
            if not np.isfinite(piece).all():
                return None
            piece = piece + 0  # -0 as 0
        for name, cut in cuts.items():
            bits = np.ascontiguousarray(cut(piece)).view(f"u{piece.dtype.itemsize}").astype(np.uint64)
            first, second = int(bits.sum(dtype=np.uint64)), int((bits * bits).sum(dtype=np.uint64))
            sums[name] = (sums[name][0] + first) % _WORD, (sums[name][1] + second) % _WORD
    return sums


def _find(array: Array, candidates: list[tuple[ir.Value, str]], held: dict[ir.Value, Array]) -> _Way | None:
    for base, cut in candidates:
        source = held[base]
        for flipped in (False, True) if source.ndim > 2 else (False,):
            turned = _flip(source) if flipped else source
            for order in _orders(turned.shape, array.shape):
                if _equal(turned.transpose(order).squeeze(), _CUTS[cut], array.squeeze()):
                    return _Way(base, cut, flipped, order)
    return None


def _equal(source: Array, cut: _Cut, wanted: Array) -> bool:
    """Tell whether what is cut of a weight equals another, piece by piece."""
    if source.size <= _PIECE:
        return np.array_equal(cut(source), wanted)
    axis = int(np.argmax(source.shape))
    half = source.shape[axis] // 2
    return all(
        _equal(a, cut, b)
        for a, b in zip(np.split(source, [half], axis), np.split(wanted, [half], axis), strict=True)
    )


def _flip(array: Array) -> Array:
    return np.flip(array, tuple(range(2, array.ndim)))


def _orders(source: tuple[int, ...], wanted: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the orders of axes that give a shape, but for axes of length 1."""
    wide = [k for k, d in enumerate(source) if d != 1]
    narrow = [k for k, d in enumerate(source) if d == 1]
    lengths = [d for d in wanted if d != 1]
    if len(wide) > 5:
        return
    for order in permutations(wide):
        if [source[k] for k in order] == lengths:
            if list(order) == wide:
                yield tuple(range(len(source)))
            elif len(source) == len(
                wanted
            ):  # ones where the wanted shape has them, so that nothing is reshaped
                ones, others = iter(narrow), iter(order)
                yield tuple(next(ones) if d == 1 else next(others) for d in wanted)
            else:
                yield (*order, *narrow)


def _replace(graph: ir.Graph, ways: dict[ir.Value, _Way], model: ir.Model) -> int:
    if not ways:
        return 0
    op = Ops(graph, 18, free_scope(model, "shared"))
    op.before = next(iter(graph))
    saved = 0
    for value, way in ways.items():
        assert value.const_value is not None
        made = _write(op, way, tuple(int(d) for d in value.const_value.shape.numpy()))
        saved += value.const_value.nbytes
        graph.initializers.pop(str(value.name))
        value.replace_all_uses_with(made)
    return saved


def _write(op: Ops, way: _Way, wanted: tuple[int, ...]) -> ir.Value:
    tensor = way.base.const_value
    assert tensor is not None
    made: ir.Value = way.base
    shape = tuple(int(d) for d in tensor.shape.numpy())
    zero = np.zeros((), tensor.dtype.numpy())
    if way.cut == "positive":
        made = op.Relu(made, _fold=False)
    elif way.cut == "negative":
        made = op.Min(made, op.const(zero), _fold=False)
    elif way.cut == "abs":
        made = op.Abs(made, _fold=False)
    elif way.cut == "square":
        made = op.Mul(made, made, _fold=False)
    if way.flipped:
        axes = range(2, len(shape))
        ends = [np.iinfo(np.int64).min] * len(axes)
        lists = [[-1] * len(axes), ends, list(axes), [-1] * len(axes)]
        made = op.Slice(made, *(op.const(np.array(v, np.int64)) for v in lists), _fold=False)
    if way.order != tuple(range(len(shape))):
        made = op.Transpose(made, perm=list(way.order), _fold=False)
    if tuple(shape[k] for k in way.order) != wanted:
        made = op.Reshape(made, op.const(np.array(wanted, np.int64)), _fold=False)
    return made

"""What a constant becomes on the other side of an operator that only moves values.

``Squeeze(x) + c`` is ``Squeeze(x + c')``: exporters put movers between a layer and what belongs to it.  A
constant is an array with as many axes as the value that it is combined with, each of length 1 or of the
value's; on the other side it has the axes of the mover's input.  Elements that the mover drops get the
neutral number of the combination (0 of a sum, 1 of a product), as do those that others read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import onnx_ir as ir

from onnxplain._types import Array
from onnxplain.graph import facts
from onnxplain.graph.decomposition import whole

__all__ = ["aligned", "axis_behind", "before", "collapsed", "runs", "varies_along"]


def aligned(content: Array, value: ir.Value) -> Array | None:
    """Give a constant all axes of the value that it is combined with; None if it may stretch the value."""
    dims = facts.dims(value)
    if dims is None or content.ndim > len(dims):
        return None
    wide: Array = content.reshape((1,) * (len(dims) - content.ndim) + content.shape)
    if any(n not in (1, d) for n, d in zip(wide.shape, dims, strict=True)):
        return None
    return collapsed(wide)


def collapsed(content: Array) -> Array:
    """Shorten to 1 the axes along which an array is the same."""
    for axis in range(content.ndim):
        first = content.take([0], axis) if content.shape[axis] else content
        if content.shape[axis] > 1 and bool((content == first).all()):
            content = first
    return content


def varies_along(content: Array) -> set[int]:
    """Return the axes along which a collapsed constant varies."""
    return {axis for axis, n in enumerate(content.shape) if n != 1}


def before(value: ir.Value, content: Array, neutral: float) -> list[tuple[ir.Value, Array]] | None:
    """Move a constant in front of the mover that makes a value.

    Parameters
    ----------
    value
        The value, which the constant is combined with.
    content
        The constant, collapsed, with the value's axes.
    neutral
        What leaves an element as it is.

    Returns
    -------
    list of (ir.Value, array) or None
        The inputs of the mover, and what to combine each of them with; None if the value is not made by a
        mover, others read what would change, or it cannot be told before running where elements go.
    """
    node = value.producer()
    if node is None or node.domain not in ("", "ai.onnx") or facts.GRADIENT_KEY in node.metadata_props:
        return None
    if node.op_type == "Concat":
        return _concat(node, content)
    move = partial(_split, value) if node.op_type == "Split" else _MOVERS.get(node.op_type)
    source = node.inputs[0] if node.inputs else None
    if move is None or source is None:
        return None
    found = move(node, content, neutral)
    if found is None or source.is_graph_output():
        return None
    if len(source.uses()) > 1 and not _only_this(source, node, found, neutral):
        return None
    return [(source, collapsed(found))]


def axis_behind(node: ir.Node, axis: int) -> int | None:
    """Return where an axis of a mover's input is in its output, None if the mover does not keep it apart."""
    x = node.inputs[0] if node.inputs else None
    rank = None if x is None else facts.rank(x)
    if rank is None or node.domain not in ("", "ai.onnx") or facts.GRADIENT_KEY in node.metadata_props:
        return None
    if node.op_type == "Identity":
        return axis
    if node.op_type == "Reshape":
        return _axis_reshaped(node, axis)
    if node.op_type == "Transpose":
        perm = facts.attr(node, "perm", tuple(reversed(range(rank))))
        assert isinstance(perm, tuple)
        return perm.index(axis)
    axes = _axes(node) if node.op_type in ("Squeeze", "Unsqueeze") else None
    if axes is None:
        return None
    if node.op_type == "Unsqueeze":
        made = {a % (rank + len(axes)) for a in axes}
        return [k for k in range(rank + len(axes)) if k not in made][axis]
    gone = {a % rank for a in axes}
    return None if axis in gone else axis - sum(a < axis for a in gone)


def _axis_reshaped(node: ir.Node, axis: int) -> int | None:
    assert node.inputs[0] is not None
    inner, outer = facts.dims(node.inputs[0]), facts.dims(node.outputs[0])
    target = facts.constant(node.inputs[1])
    if inner is None or outer is None or target is None or facts.attr(node, "allowzero", 0):
        return None
    for mine, theirs in runs(inner, outer):
        if (mine.start, mine.stop) == (axis, axis + 1) and theirs.stop - theirs.start == 1:
            place = int(theirs.start)
            copies = [k for k in (axis, place) if k < len(target) and target[k] == 0]
            return place if place == axis or not copies else None
    return None


def _only_this(source: ir.Value, node: ir.Node, content: Array, neutral: float) -> bool:
    """Tell whether all others that read a value cut out parts that do not change."""
    for user, _ in source.uses():
        if user is node:
            continue
        cut = _cuts(user) if user.op_type == "Slice" and user.domain in ("", "ai.onnx") else None
        if cut is None:
            return False
        read = content
        for axis, places in cut.items():
            known = places is not None and read.shape[axis] != 1
            read = read[(slice(None),) * axis + (places,)] if known else read
        if not (read == neutral).all():
            return False
    return not any(user is node for user, k in source.uses() if k != 0)


def _identity(node: ir.Node, content: Array, neutral: float) -> Array:
    return content


def _transpose(node: ir.Node, content: Array, neutral: float) -> Array:
    perm = facts.attr(node, "perm", tuple(reversed(range(content.ndim))))
    assert isinstance(perm, tuple)
    return np.asarray(content.transpose(np.argsort(perm)))


def _axes(node: ir.Node) -> list[int] | None:
    found = facts.constant(node.inputs[1]) if len(node.inputs) > 1 else None
    return None if found is None else [int(a) for a in found.ravel()]


def _squeeze(node: ir.Node, content: Array, neutral: float) -> Array | None:
    axes = _axes(node)
    if axes is None:
        return _reshape(node, content, neutral)
    rank = content.ndim + len(axes)
    return np.expand_dims(content, tuple(a % rank for a in axes))


def _unsqueeze(node: ir.Node, content: Array, neutral: float) -> Array | None:
    axes = _axes(node)
    return None if axes is None else content.squeeze(tuple(a % content.ndim for a in axes))


def _reshape(node: ir.Node, content: Array, neutral: float) -> Array | None:
    """Find axes, or runs of axes, of both shapes that hold the same elements."""
    assert node.inputs[0] is not None
    inner, outer = facts.dims(node.inputs[0]), facts.dims(node.outputs[0])
    if inner is None or outer is None:
        return None
    if content.size == 1:
        return content.reshape((1,) * len(inner))
    paired = runs(inner, outer)
    shape: list[int] = []  # of the constant's elements, by the axes of the mover's input
    wide: list[int] = []  # the same by the axes of its output
    for mine, theirs in paired:
        lengths = content.shape[theirs.start : theirs.stop]
        if all(n == 1 for n in lengths):
            shape += [1] * len(range(*mine.indices(len(inner))))
            wide += lengths
            continue
        a, b = inner[mine], outer[theirs]
        if len(a) == len(b) == 1 and a == b:
            shape += lengths
            wide += lengths
            continue
        if not all(isinstance(d, int) for d in (*a, *b)):
            return None
        shape += [d for d in a if isinstance(d, int)]
        wide += [d for d in b if isinstance(d, int)]
    if np.prod(shape) != np.prod(wide):
        return None
    return np.broadcast_to(content, wide).reshape(shape)


def runs(inner: Sequence[facts.Dim], outer: Sequence[facts.Dim]) -> list[tuple[slice, slice]]:
    """Pair runs of axes of two shapes that hold the same elements; what cannot be told is one run between."""
    a, b = _named(inner, outer)
    last = _matched(a[::-1], b[::-1])
    end_a, end_b = len(a) - sum(n for n, _ in last), len(b) - sum(n for _, n in last)
    first = _matched(a[:end_a], b[:end_b])
    found, i, j = [], 0, 0
    for n, m in first:
        found.append((slice(i, i + n), slice(j, j + m)))
        i, j = i + n, j + m
    found.append((slice(i, end_a), slice(j, end_b)))
    i, j = end_a, end_b
    for n, m in reversed(last):
        found.append((slice(i, i + n), slice(j, j + m)))
        i, j = i + n, j + m
    return found


def _named(inner: Sequence[facts.Dim], outer: Sequence[facts.Dim]) -> tuple[list[object], list[object]]:
    """Give the only unknown lengths of two shapes one name, if the others say that they are equal."""
    open_a = [k for k, d in enumerate(inner) if not isinstance(d, int)]
    open_b = [k for k, d in enumerate(outer) if not isinstance(d, int)]
    a: list[object] = [object() if d is None else d for d in inner]
    b: list[object] = [object() if d is None else d for d in outer]
    known = [np.prod([d for d in dims if isinstance(d, int)], dtype=np.int64) for dims in (inner, outer)]
    if len(open_a) == len(open_b) == 1 and known[0] == known[1] != 0:
        a[open_a[0]] = b[open_b[0]] = "the rest"
    return a, b


def _matched(a: Sequence[object], b: Sequence[object]) -> list[tuple[int, int]]:
    """Return how many axes of each shape make a run with as many elements, from the front."""
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < len(a) and j < len(b):
        n, m = a[i], b[j]
        if n == m:
            found.append((1, 1))
            i, j = i + 1, j + 1
            continue
        p, q = i + 1, j + 1
        while isinstance(n, int) and isinstance(m, int) and n != m and n and m:
            more = a[p : p + 1] if n < m else b[q : q + 1]
            if not more or not isinstance(more[0], int):
                return found
            p, q = (p + 1, q) if n < m else (p, q + 1)
            n, m = (n * more[0], m) if n < m else (n, m * more[0])
        if not isinstance(n, int) or n != m:
            return found
        found.append((p - i, q - j))
        i, j = p, q
    return found


def _cuts(node: ir.Node) -> dict[int, Array | None] | None:
    """Return which places of which axes a Slice keeps; None in place of those that cannot be told."""
    x = node.inputs[0]
    dims = None if x is None else facts.dims(x)
    given = [None if v is None else facts.constant(v) for v in node.inputs[1:]]
    absent = any(v is not None and c is None for v, c in zip(node.inputs[1:], given, strict=True))
    if dims is None or absent or len(given) < 2 or given[0] is None or given[1] is None:
        return None
    starts, ends = given[0].ravel(), given[1].ravel()
    axes = given[2].ravel() if len(given) > 2 and given[2] is not None else np.arange(len(starts))
    steps = given[3].ravel() if len(given) > 3 and given[3] is not None else np.ones(len(starts), np.int64)
    found: dict[int, Array | None] = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        length, axis = dims[int(axis) % len(dims)], int(axis) % len(dims)
        if not isinstance(length, int):
            found[axis] = None
            continue
        stop = None if step < 0 and end < -length else int(end)
        found[axis] = np.arange(length)[int(start) : stop : int(step)]
    return found


def _slice(node: ir.Node, content: Array, neutral: float) -> Array | None:
    cut = _cuts(node)
    source = node.inputs[0]
    assert source is not None
    if cut is None:
        return None
    shared = len(source.uses()) > 1
    for axis, places in cut.items():
        length = facts.static_dim(source, axis)
        if content.shape[axis] == 1 and not shared:
            continue
        if length is None or places is None or content.shape[axis] not in (1, len(places)):
            return None
        content = _placed(content, axis, length, places, neutral)
    return content


def _placed(content: Array, axis: int, length: int, places: Array, neutral: float) -> Array:
    """Put a constant's elements into places along an axis; all others are neutral."""
    content = np.broadcast_to(content, [len(places) if k == axis else n for k, n in enumerate(content.shape)])
    wide = np.full([length if k == axis else n for k, n in enumerate(content.shape)], neutral, content.dtype)
    wide[(slice(None),) * axis + (places,)] = content
    return wide


def _split(value: ir.Value, node: ir.Node, content: Array, neutral: float) -> Array | None:
    axis = whole(node, "axis", 0) % content.ndim
    lengths = [facts.static_dim(o, axis) if o.shape is not None else None for o in node.outputs]
    which = list(node.outputs).index(value)
    if any(n is None for n in lengths):
        return None
    ends = np.cumsum([n for n in lengths if n is not None])
    places = np.arange(ends[which] - (lengths[which] or 0), ends[which])
    return _placed(content, axis, int(ends[-1]), places, neutral)


def _concat(node: ir.Node, content: Array) -> list[tuple[ir.Value, Array]] | None:
    axis = whole(node, "axis", 0) % content.ndim
    found, at = [], 0
    for source in node.inputs:
        length = None if source is None or source.shape is None else facts.static_dim(source, axis)
        if source is None or source.is_graph_output() or len(source.uses()) > 1:
            return None
        if content.shape[axis] == 1:
            found.append((source, content))
            continue
        if length is None:
            return None
        part = content[(slice(None),) * axis + (slice(at, at + length),)]
        found.append((source, collapsed(part)))
        at += length
    return found if content.shape[axis] in (1, at) else None


def _pad(node: ir.Node, content: Array, neutral: float) -> Array | None:
    """Pass what is the same along the padded axes, if what fills them is moved too, or stays 0."""
    inputs = [*node.inputs, None, None, None][:4]
    mode, pads, fill = facts.attr(node, "mode", "constant"), facts.constant(inputs[1]), inputs[2]
    axes = facts.constant(inputs[3])
    if pads is None or (inputs[3] is not None and axes is None):
        return None
    if mode == "constant":
        filled = facts.constant(fill)
        if neutral != 1.0 or (fill is not None and (filled is None or filled.any())):
            return None
    places = range(content.ndim) if axes is None else [int(a) % content.ndim for a in axes.ravel()]
    some = np.flatnonzero(pads.reshape(2, -1).any(0))
    padded = {list(places)[k] for k in some}
    return None if padded & varies_along(content) else content


_MOVERS: dict[str, Callable[[ir.Node, Array, float], Array | None]] = {
    "Flatten": _reshape,
    "Identity": _identity,
    "Pad": _pad,
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}

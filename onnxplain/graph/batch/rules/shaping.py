"""Operators that take a tensor apart and put it together in another shape, or make one of a given shape."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from onnxplain._types import Array
from onnxplain.graph.batch.node import Node
from onnxplain.graph.batch.table import Result, rule
from onnxplain.graph.batch.values import At, Mixes, Value

__all__: list[str] = []


@rule("Reshape", reads=(1,))
def reshape(node: Node) -> Result:
    """Read the same elements in the same order with other axes."""
    targets = node.contents(1)
    if node.x.at is None:
        node.content(1)  # raises
    keep = node.integer("allowzero", 0) == 0
    shapes = [_resolved(t, x, keep) for t, x in zip(targets, node.dims(0), strict=True)]
    return _regrouped(node, shapes)


@rule("Flatten")
def flatten(node: Node) -> Result:
    """Two axes: those before ``axis``, those behind."""
    axis = node.integer("axis", 1)
    axis += node.x.rank if axis < 0 else 0
    if any(d is None for d in (node.x.shape or ())):
        at = node.at(0)
        if at.axis == 0 and axis == 1:
            return node.made((at.length(node.sizes[0]), None), at)
    shapes = [(math.prod(s[:axis]), math.prod(s[axis:])) for s in node.dims(0)]
    return _regrouped(node, shapes)


def _resolved(target: Array, x: Sequence[int], keep: bool) -> tuple[int, ...]:
    """Fill in 0 (the input's length) and -1 (what is left)."""
    lengths = [int(d) for d in target]
    if keep:
        lengths = [x[k] if d == 0 and k < len(x) else d for k, d in enumerate(lengths)]
    if -1 in lengths:
        rest = math.prod([d for d in lengths if d != -1])
        if not rest or math.prod(x) % rest:
            raise Mixes(f"its target shape {tuple(lengths)} is only right for one batch size")
        lengths[lengths.index(-1)] = math.prod(x) // rest
    if math.prod(lengths) != math.prod(x):
        raise Mixes(f"its target shape {tuple(lengths)} is only right for one batch size")
    return tuple(lengths)


def _regrouped(node: Node, shapes: Sequence[tuple[int, ...]]) -> Value:
    """Find where the samples lie after reading the elements in another shape."""
    x, at, n = node.x, node.at(0), node.sizes[0]
    assert x.shape is not None
    lengths = node.dims(0)[0]
    before = math.prod(lengths[: at.axis]) * at.outer
    after = math.prod(lengths[at.axis + 1 :]) * at.inner
    shape = shapes[0]
    if node.free:
        growing = node.growing(shapes)
        if growing is None:
            raise Mixes("no axis of what it makes grows with the batch")
        candidates = [growing[0]]
    else:
        candidates = list(range(len(shape)))
    found = [a for k in candidates if (a := _group(shape, k, before, after, n)) is not None]
    if not found:
        raise Mixes(f"it cuts across samples (from {lengths} to {shape})")
    best = min(found, key=lambda a: (not a.whole, abs(a.axis - at.axis), a.axis))
    inside = best.outer <= at.outer and best.inner <= at.inner  # nothing else has joined the samples' axis
    return node.made(shape, best, alike=x.alike and inside)


def _group(shape: Sequence[int], axis: int, before: int, after: int, n: int) -> At | None:
    """Return the place along one axis, if samples lie along it: what is before and behind must divide."""
    first, last = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    if not first or not last or before % first or after % last:
        return None
    found = At(axis, before // first, after // last)
    return found if found.length(n) == shape[axis] else None


@rule("Expand", reads=(1,))
def expand(node: Node) -> Result:
    """Repeat along axes of length 1, and along new ones."""
    targets = node.contents(1)
    shapes = [
        np.broadcast_shapes(x, tuple(int(d) for d in t)) for t, x in zip(targets, node.dims(0), strict=True)
    ]
    rank, x = len(shapes[0]), node.x
    if x.at is not None:
        return _kept(node, shapes, x.at.moved(x.at.axis + rank - x.rank))
    growing = node.growing(shapes)
    if growing is None:
        return node.made(shapes[0], None)
    axis, times = growing
    if axis >= rank - x.rank and x.shape is not None and x.shape[axis - rank] != 1:
        raise Mixes("it repeats rows that are there already")
    return node.made(shapes[0], At(axis, 1, times), alike=True)


def _kept(node: Node, shapes: Sequence[Sequence[int]], at: At) -> Value:
    """Describe what has the samples along one axis, and nothing else that depends on their number."""
    for n, shape in zip(node.sizes, shapes, strict=True):
        rest = (*shape[: at.axis], *shape[at.axis + 1 :])
        first = (*shapes[0][: at.axis], *shapes[0][at.axis + 1 :])
        if shape[at.axis] != at.length(n) or rest != first:
            raise Mixes(
                f"the shape of what it makes, {tuple(shape)} for {n} samples, does not follow the batch"
            )
    return node.made(tuple(shapes[0]), at, alike=node.x.alike)


@rule("ConstantOfShape", reads=(0,))
def constant_of_shape(node: Node) -> Result:
    """Fill with one number."""
    shapes = [tuple(int(d) for d in t) for t in node.contents(0)]
    growing = node.growing(shapes)
    if growing is None:
        return node.made(shapes[0], None)
    return node.made(shapes[0], At(growing[0], 1, growing[1]), alike=True)


@rule("Tile", reads=(1,))
def tile(node: Node) -> Result:
    """Repeat whole axes."""
    repeats, lengths = node.contents(1), node.dims(0)
    shapes = [
        tuple(int(d) * int(r) for d, r in zip(s, t, strict=True))
        for t, s in zip(repeats, lengths, strict=True)
    ]
    x = node.x
    if x.at is not None:
        times = {int(t[x.at.axis]) for t in repeats}
        if len(times) > 1:
            raise Mixes("it repeats the samples as often as there are samples")
        return _kept(node, shapes, At(x.at.axis, x.at.outer * times.pop(), x.at.inner))
    growing = node.growing(shapes)
    if growing is None:
        return node.made(shapes[0], None)
    axis = growing[0]
    length, often = lengths[0][axis], int(repeats[0][axis]) // node.sizes[0]
    return node.made(shapes[0], At(axis, often, length), alike=length == 1)


@rule("Unsqueeze", reads=(1,))
def unsqueeze(node: Node) -> Result:
    """Add axes of length 1."""
    axes = [int(a) for a in np.ravel(node.content(1))]
    rank = node.x.rank + len(axes)
    new = {a % rank for a in axes}
    old = [k for k in range(rank) if k not in new]
    at = node.at(0)
    assert node.x.shape is not None
    lengths = dict(zip(old, node.x.shape, strict=True))
    return node.made(
        tuple(lengths.get(k, 1) for k in range(rank)), at.moved(old[at.axis]), alike=node.x.alike
    )


@rule("Squeeze", reads=(1,))
def squeeze(node: Node) -> Result:
    """Take axes of length 1 away."""
    at, x = node.at(0), node.x
    assert x.shape is not None
    if node.has(1):
        axes = {int(a) % x.rank for a in np.ravel(node.content(1))}
    else:
        if x.guess:
            raise Mixes("it takes away every axis of length 1, and not all lengths are known before running")
        axes = {k for k, d in enumerate(x.shape) if d == 1}
        if at.whole and (node.free or x.shape[at.axis] == 1):
            raise Mixes(f"it takes away every axis of length 1, that of a single sample (axis {at.axis}) too")
    if at.axis in axes:
        raise Mixes(f"it takes away axis {at.axis}, along which the samples lie")
    kept = [k for k in range(x.rank) if k not in axes]
    return node.made(tuple(x.shape[k] for k in kept), at.moved(kept.index(at.axis)), alike=x.alike)


@rule("Transpose")
def transpose(node: Node) -> Result:
    """Put axes in another order."""
    x, at = node.x, node.at(0)
    order = node.ints("perm") or tuple(reversed(range(x.rank)))
    assert x.shape is not None
    return node.made(tuple(x.shape[k] for k in order), at.moved(order.index(at.axis)), alike=x.alike)


@rule("Shape", "Size", "OptionalHasElement", "SequenceLength")
def asks_for_shape(node: Node) -> Result:
    """Numbers: taken care of by shape arithmetic, where the shape is known."""
    if node.source.op_type in ("OptionalHasElement", "SequenceLength"):
        return node.made((), None)
    raise Mixes("it reads a shape that is not known before running")


@rule("Range", "EyeLike")
def counts(node: Node) -> Result:
    """Refuse: what a row holds depends on its number."""
    raise Mixes("it numbers the samples")

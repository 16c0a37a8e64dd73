"""Operators that pick and place entries by index."""

from __future__ import annotations

import numpy as np

from onnxplain.graph.batch.node import Node
from onnxplain.graph.batch.table import Result, rule
from onnxplain.graph.batch.values import At, Mixes, Value

__all__: list[str] = []

_ROWS = "it picks entries along axis {axis} of {name}, along which the samples lie"


@rule("Gather")
def gather(node: Node) -> Result:
    """Pick entries along one axis: the samples' indices from a table, or the same ones from each sample."""
    data, indices = node.input(0), node.input(1)
    axis = node.integer("axis", 0) % data.rank
    if data.at is None:
        return node.at(1).moved(node.at(1).axis + axis)
    if data.at.axis == axis:
        raise Mixes(_ROWS.format(axis=axis, name=node.name(0)))
    if indices.at is not None:
        raise Mixes("it picks entries of all samples for every sample")
    return data.at.moved(data.at.axis + (indices.rank - 1 if data.at.axis > axis else 0))


@rule("GatherElements")
def gather_elements(node: Node) -> Result:
    """Pick an entry along one axis for each place of the indices."""
    data, indices = node.input(0), node.input(1)
    axis = node.integer("axis", 0) % data.rank
    at = data.at or indices.at
    assert at is not None
    if at.axis == axis:
        if data.at is None:
            return at  # a table of which each row of indices picks
        raise Mixes(_ROWS.format(axis=axis, name=node.name(0)))
    return node.aligned(0, 1, axis=at.axis)


@rule("GatherND", cleans=(1,))
def gather_nd(node: Node) -> Result:
    """Pick entries by tuples of indices; a sample's own number among them picks its own row."""
    data, indices = node.input(0), node.input(1)
    first = node.integer("batch_dims", 0)
    at = data.at or indices.at
    if indices.taint is not None:
        return _own_rows(node, data, indices, first)
    if at is None:
        raise Mixes("it picks by the number of samples")
    if at.axis < first:
        return node.aligned(0, 1, axis=at.axis)
    if indices.shape is None or indices.shape[-1] is None:
        raise Mixes("the number of its indices is not known before running")
    if data.at is None:
        if at.axis == indices.rank - 1:
            raise Mixes("its indices lie along the axis of the samples")
        return at
    if indices.at is not None:
        raise Mixes("it picks entries of all samples for every sample")
    taken = first + indices.shape[-1]
    if data.at.axis < taken:
        raise Mixes(_ROWS.format(axis=data.at.axis, name=node.name(0)))
    return data.at.moved(data.at.axis - taken + indices.rank - 1)


def _own_rows(node: Node, data: Value, indices: Value, first: int) -> At:
    """Find the place of what samples pick by their own numbers."""
    own = indices.number or 0 in indices.columns
    at = indices.at
    if first or not own or data.at is None or data.at.axis or at is None or not (data.at.whole and at.whole):
        raise Mixes("it picks rows by the number of samples")
    if data.taint is not None or at.axis == indices.rank - 1:
        raise Mixes("it picks rows by the number of samples")
    return at


@rule("ScatterElements", "Scatter")
def scatter_elements(node: Node) -> Result:
    """Place entries along one axis."""
    values = [node.input(k) for k in range(3)]
    at = next(v.at for v in values if v.at is not None)
    if at.axis == node.integer("axis", 0) % node.x.rank:
        raise Mixes(f"it places entries along axis {at.axis}, along which the samples lie")
    return node.aligned(0, 1, 2, axis=at.axis)


@rule("ScatterND")
def scatter_nd(node: Node) -> Result:
    """Place slices by tuples of indices, the same ones in each sample."""
    data, indices, updates = (node.input(k) for k in range(3))
    node.shared(1)
    if indices.shape is None or indices.shape[-1] is None:
        raise Mixes("the number of its indices is not known before running")
    depth = indices.shape[-1]
    shift = indices.rank - 1 - depth  # from an axis of the data to that of the updates
    at = data.at if data.at is not None else updates.at
    assert at is not None
    axis = at.axis if data.at is not None else at.axis - shift
    if axis < depth or (data.at is None and at.axis < indices.rank - 1):
        raise Mixes(f"it places entries along axis {axis}, along which the samples lie")
    place = At(axis, at.outer, at.inner)
    if data.at is None or (updates.at is not None and updates.at != place.moved(axis + shift)):
        raise Mixes("the samples of its inputs lie along different axes")
    if updates.at is None:
        raise Mixes("one of its inputs has no row for each sample")
    return place


@rule("TensorScatter")
def tensor_scatter(node: Node) -> Result:
    """Write into a cache at each sample's place."""
    at = node.aligned(0, 1, 2)
    node.apart(0, [node.integer("axis", -2)])
    return at


@rule("OneHot", reads=(1,))
def one_hot(node: Node) -> Result:
    """Write a row of zeros and a one for each index."""
    node.shared(1, 2)
    node.content(1)
    axis = node.integer("axis", -1) % (node.x.rank + 1)
    at = node.at(0)
    return at.moved(at.axis + (axis <= at.axis))


@rule("ReverseSequence")
def reverse(node: Node) -> Result:
    """Turn the first entries of each sample round, or those of other axes by the same lengths."""
    x = node.x
    axis, time = node.integer("batch_axis", 1), node.integer("time_axis", 0)
    if x.at is not None and x.at.axis not in (axis % x.rank, time % x.rank):
        node.shared(1)
        return x.at
    place = x.at or node.at(1)
    if x.at is not None and x.at.axis != axis:
        raise Mixes(f"it works along axis {x.at.axis} of {node.name(0)}, along which the samples lie")
    lengths = node.input(1)
    if x.at is None or lengths.at is None or (lengths.at.outer, lengths.at.inner) != (x.at.outer, x.at.inner):
        raise Mixes("one of its inputs has no row for each sample")
    return place


@rule("Slice", reads=(1, 2, 3, 4))
def cut(node: Node) -> Result:
    """Cut axes; that of the samples may only be kept whole, or in whole blocks."""
    node.shared(1, 2, 3, 4)
    at, rank = node.at(0), node.x.rank
    starts, ends = node.contents(1), node.contents(2)
    count = len(starts[0])
    axes = [int(a) % rank for a in np.ravel(node.content(3))] if node.has(3) else list(range(count))
    steps = [int(s) for s in np.ravel(node.content(4))] if node.has(4) else [1] * count
    outer = at.outer
    lengths: dict[int, int] = {}
    for k, axis in enumerate(axes):
        cuts = [slice(int(s[k]), int(e[k]), steps[k]) for s, e in zip(starts, ends, strict=True)]
        if axis == at.axis:
            outer = _blocks(node, at, cuts)
        else:
            lengths[axis] = _length(node, axis, cuts)
    place = At(at.axis, outer, at.inner)
    assert node.x.shape is not None
    lengths[at.axis] = place.length(node.sizes[0])
    shape = tuple(lengths.get(a, d) for a, d in enumerate(node.x.shape))
    return node.made(shape, place, alike=node.x.alike)


def _length(node: Node, axis: int, cuts: list[slice]) -> int:
    """Return how much is left of an axis where no samples lie."""
    assert node.x.shape is not None
    whole = node.x.shape[axis]
    if whole is None:
        raise Mixes(f"the length of axis {axis} of {node.name(0)} is not known before running")
    ranges = {_range(c, whole) for c in cuts}
    if len(ranges) > 1:
        raise Mixes(f"how it cuts axis {axis} depends on the batch size")
    return len(ranges.pop())


def _range(cut: slice, length: int) -> range:
    """Read a cut as the standard does."""
    start, stop, step = cut.start, cut.stop, cut.step
    start += length if start < 0 else 0
    stop += length if stop < 0 else 0
    if step > 0:
        return range(min(max(start, 0), length), min(max(stop, 0), length), step)
    return range(min(max(start, 0), length - 1), min(max(stop, -1), length - 1), step)


def _blocks(node: Node, at: At, cuts: list[slice]) -> int:
    """Return how many blocks of all samples are left along their axis."""
    found = set()
    for n, c in zip(node.sizes, cuts, strict=True):
        kept, block = _range(c, at.length(n)), n * at.inner
        if kept.step != 1 or not len(kept) or kept.start % block or kept.stop % block:
            raise Mixes(f"it picks or reorders samples (axis {at.axis})")
        found.add((kept.start // block, kept.stop // block))
    if len(found) > 1:
        raise Mixes(f"it picks samples (axis {at.axis})")
    first, last = found.pop()
    return last - first

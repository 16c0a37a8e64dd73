"""Joining and splitting tensors; sequences of them."""

from __future__ import annotations

import numpy as np

from onnxplain.graph.batch.node import Node, joined
from onnxplain.graph.batch.table import Result, rule
from onnxplain.graph.batch.values import At, Found, List, Mixes, Value

__all__: list[str] = []


@rule("Concat")
def concat(node: Node) -> Result:
    """Join along one axis; along that of the samples, as blocks that each hold all samples."""
    values = node.tensors()
    axis = node.integer("axis", 0) % values[0].rank
    placed = [v for v in values if v.at is not None]
    at = placed[0].at
    assert at is not None
    if at.axis != axis:
        return node.aligned(*range(len(values)), axis=at.axis)
    if len(placed) < len(values):
        raise Mixes("it puts rows beside the samples that are none")
    inner = {v.at.inner for v in placed if v.at is not None}
    if len(inner) > 1 or any(v.at is None or v.at.axis != axis for v in placed):
        raise Mixes("the samples of its inputs lie along different axes, or in a different order")
    return At(axis, sum(v.at.outer for v in placed if v.at is not None), inner.pop())


@rule("Split", reads=(1,))
def split(node: Node) -> Result:
    """Cut along one axis; along that of the samples, into blocks that each hold all samples."""
    at = node.at(0)
    axis = node.integer("axis", 0) % node.x.rank
    count = len(node.source.outputs)
    if at.axis != axis:
        if node.has(1):
            node.content(1)
        return [at] * count
    parts = []
    for k, n in enumerate(node.sizes):
        if node.has(1):
            sizes = [int(s) for s in np.ravel(node.contents(1)[k])]
        else:
            chunk = -(-at.length(n) // count)
            sizes = [max(min(chunk, at.length(n) - c * chunk), 0) for c in range(count)]
        if any(s % (n * at.inner) for s in sizes) or not all(sizes):
            raise Mixes(f"it splits the samples (axis {axis})")
        parts.append(tuple(s // (n * at.inner) for s in sizes))
    if len(set(parts)) > 1:
        raise Mixes(f"it splits the samples (axis {axis})")
    made: list[Found] = []
    for k, outer in enumerate(parts[0]):
        place = At(axis, outer, at.inner)
        assert node.x.shape is not None
        shape = (*node.x.shape[:axis], place.length(node.sizes[0]), *node.x.shape[axis + 1 :])
        made.append(node.made(shape, place, output=k))
    return made


@rule("SequenceConstruct", "Optional")
def sequence(node: Node) -> Result:
    """Make a list; its elements are described together."""
    element: Found | None = None
    for found in node.inputs:
        element = joined(element, found)
    if isinstance(element, List):
        return element
    return List(element if isinstance(element, Value) else None)


@rule("SequenceEmpty", always=True)
def empty(node: Node) -> Result:
    """Make an empty list."""
    return List(None)


@rule("SequenceInsert")
def inserted(node: Node) -> Result:
    """Make a list with one more element."""
    node.shared(2)
    return joined(node.inputs[0], List(node.input(1)))


@rule("SequenceErase")
def erased(node: Node) -> Result:
    """Make a list with one element less."""
    node.shared(1)
    return node.inputs[0]


@rule("SequenceAt", "OptionalGetElement")
def element(node: Node) -> Result:
    """One element."""
    node.shared(1)
    found = node.inputs[0]
    if not isinstance(found, List):
        return found
    if found.element is None:
        raise Mixes("it reads an empty sequence")
    return found.element


@rule("SplitToSequence")
def split_to_sequence(node: Node) -> Result:
    """Make a list of slices."""
    node.shared(1)
    axis = node.integer("axis", 0) % node.x.rank
    node.apart(0, [axis], "splits")
    x, at = node.x, node.at(0)
    assert x.shape is not None
    if not node.has(1) and not node.integer("keepdims", 1):
        shape = (*x.shape[:axis], *x.shape[axis + 1 :])
        return List(node.made(shape, at.moved(at.axis - (axis < at.axis))))
    length = 1 if not node.has(1) else None
    return List(node.made((*x.shape[:axis], length, *x.shape[axis + 1 :]), at))


@rule("ConcatFromSequence")
def concat_from_sequence(node: Node) -> Result:
    """Join a list's elements along an old or a new axis."""
    found = node.inputs[0]
    if not isinstance(found, List) or found.element is None or found.element.at is None:
        raise Mixes("it reads an empty sequence")
    x, at = found.element, found.element.at
    assert x.shape is not None
    if node.integer("new_axis", 0):
        axis = node.integer("axis", 0) % (x.rank + 1)
        shape = (*x.shape[:axis], None, *x.shape[axis:])
        return node.made(shape, at.moved(at.axis + (axis <= at.axis)))
    axis = node.integer("axis", 0) % x.rank
    if axis == at.axis:
        raise Mixes("it joins samples along their own axis")
    return node.made((*x.shape[:axis], None, *x.shape[axis + 1 :]), at)

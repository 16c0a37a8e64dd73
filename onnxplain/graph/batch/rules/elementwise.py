"""Operators that treat every element alike, with broadcasting; and random ones."""

from __future__ import annotations

from dataclasses import replace

from onnxplain.graph.batch import shapes
from onnxplain.graph.batch.node import Node
from onnxplain.graph.batch.table import Result, rule
from onnxplain.graph.batch.values import Mixes, Value
from onnxplain.graph.traits import Is, operators

__all__: list[str] = []

#: They have further inputs.
_OWN = {"CastLike", "Clip", "Dropout", "PRelu"}


@rule(*sorted(operators(Is.ELEMENTWISE | Is.LIKE_FIRST) - _OWN))
def unary(node: Node) -> Result:
    """Leave every element where it is."""
    if not isinstance(node.inputs[0], Value):
        return node.inputs[0]  # the identity of a sequence
    return node.made(node.x.shape, node.x.at, alike=node.x.alike)


@rule("CastLike")
def cast_like(node: Node) -> Result:
    """Take the dtype alone of the second input."""
    return node.made(node.x.shape, node.x.at, alike=node.x.alike)


@rule("PRelu", *sorted(operators(Is.ELEMENTWISE | Is.BROADCASTS)))
def broadcasting(node: Node) -> Result:
    """Let samples meet their like."""
    values = node.tensors()
    met = node.meet(values)
    shape = shapes.spread([v.shape for v in values])
    if met is None or shape is None:
        raise Mixes("the shapes of its inputs are not known before running")
    axis, at, alike = met
    place = at.moved(axis + len(shape))
    spread = (*shape[: place.axis], place.length(node.sizes[0]), *shape[place.axis + 1 :])
    return node.made(spread, place, alike=alike)


@rule("Clip")
def clip(node: Node) -> Result:
    """Bound every element by two numbers."""
    node.shared(1, 2)
    return node.made(node.x.shape, node.x.at, alike=node.x.alike)


@rule("Dropout")
def dropout(node: Node) -> Result:
    """Do nothing, outside training."""
    node.shared(1, 2)
    if node.has(2):
        training = node.input(2).array()
        if training is None or training.any():
            raise Mixes("it draws random numbers")
    result = node.made(node.x.shape, node.x.at)
    return result, replace(result, dtype=9, alike=True)


@rule(*sorted(operators(Is.RANDOM) - {"Dropout"}), always=True)
def drawn(node: Node) -> Result:
    """Refuse: which numbers a sample gets depends on its place among the others."""
    raise Mixes("it draws random numbers, so a sample's result depends on its place in the batch")


@rule("QuantizeLinear", "DequantizeLinear")
def quantised(node: Node) -> Result:
    """Scale every element by a number, or by one per entry of another axis."""
    node.shared(1, 2)
    x, scale = node.x, node.input(1)
    single = scale.shape is not None and all(d == 1 for d in scale.shape) and scale.rank < 2
    if not single:
        axis = node.integer("axis", 1)
        along = node.integer("block_size", 0) == 0 and x.at is not None
        if not along or node.at(0).axis == axis % x.rank:
            raise Mixes("its scales go along the axis of the samples")
    return node.made(x.shape, x.at, alike=x.alike)


@rule("SwiGLU")
def gated(node: Node) -> Result:
    """Halve the last axis (or take the halves as two inputs)."""
    if node.has(1):
        return broadcasting(node)
    node.apart(0, [node.integer("axis", -1)])
    return node.at(0)

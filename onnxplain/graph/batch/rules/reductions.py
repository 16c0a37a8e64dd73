"""Operators that work along axes: sums, extremes, softmax, running sums, sorting."""

from __future__ import annotations

import numpy as np

from onnxplain.graph.batch.node import Node
from onnxplain.graph.batch.table import Result, rule
from onnxplain.graph.batch.values import At, Mixes
from onnxplain.graph.traits import Is, operators

__all__: list[str] = []


@rule(*sorted(operators(Is.REDUCES, lacks=Is.SPATIAL)))
def reduced(node: Node) -> Result:
    """One number for what lies along the axes."""
    axes: list[int] | None = None
    if node.has(1):
        axes = [int(a) for a in np.ravel(node.content(1))]
    elif (given := node.ints("axes")) is not None:
        axes = list(given)
    x, at = node.x, node.at(0)
    if not axes:
        if node.integer("noop_with_empty_axes", 0):
            return at
        axes = list(range(x.rank))
    if node.source.op_type in ("ReduceMax", "ReduceMin") and len(axes) == x.rank:
        raise Mixes("it measures the range of all samples together, as dynamic quantisation does")
    node.apart(0, axes)
    return _dropped(at, {a % x.rank for a in axes}, bool(node.integer("keepdims", 1)))


@rule("ArgMax", "ArgMin")
def picked(node: Node) -> Result:
    """Return the place of the extreme along one axis."""
    axis = node.integer("axis", 0)
    node.apart(0, [axis])
    return _dropped(node.at(0), {axis % node.x.rank}, bool(node.integer("keepdims", 1)))


def _dropped(at: At, axes: set[int], keep: bool) -> At:
    return at if keep else at.moved(at.axis - sum(a < at.axis for a in axes))


@rule("Softmax", "LogSoftmax", "Hardmax", "LpNormalization")
def normalised(node: Node) -> Result:
    """Scale what lies along one axis by its sum."""
    node.apart(0, [node.integer("axis", -1)])
    return node.at(0)


@rule("CumSum", "CumProd")
def running(node: Node) -> Result:
    """Sum up along one axis."""
    node.apart(0, [int(a) for a in np.ravel(node.content(1))])
    return node.at(0)


@rule("TopK")
def top(node: Node) -> Result:
    """Sort along one axis; how many are kept must not depend on samples."""
    node.shared(1)
    node.apart(0, [node.integer("axis", -1)])
    return node.at(0)


@rule("Compress")
def compressed(node: Node) -> Result:
    """Keep some entries of one axis, the same ones of each sample."""
    node.shared(1)
    axis = node.source.attributes.get("axis")
    if axis is None:
        raise Mixes("it picks among the entries of all samples")
    node.apart(0, [axis.as_int()], "picks along")
    return node.at(0)


@rule("NonZero", "Unique", "NonMaxSuppression")
def selected(node: Node) -> Result:
    """Refuse: the content of the samples decides how many rows there are."""
    raise Mixes("how many rows it gives depends on the content of all samples")


@rule("DynamicQuantizeLinear")
def dynamic(node: Node) -> Result:
    """Refuse: one scale for all samples."""
    raise Mixes("it measures one range for all samples (dynamic quantisation)")


@rule("DFT")
def fourier(node: Node) -> Result:
    """Transform along one axis."""
    node.shared(1, 2)
    axis = -2
    if node.has(2):
        axis = int(np.ravel(node.content(2))[0])
    elif node.source.attributes.get("axis") is not None:
        axis = node.integer("axis", -2)
    node.apart(0, [axis, -1])
    return node.at(0)


@rule("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def loss(node: Node) -> Result:
    """Give each sample its loss, unless they are added up."""
    node.shared(2)
    at = node.aligned(0, 1)
    if node.text("reduction", "mean") == "none":
        return [at] * len(node.source.outputs)
    return [node.lost("it adds the losses of all samples up"), at]


@rule("StringSplit", "StringNormalizer")
def words(node: Node) -> Result:
    """Refuse: the content of all samples decides how many entries each has."""
    raise Mixes("how many entries it gives depends on the content of all samples")

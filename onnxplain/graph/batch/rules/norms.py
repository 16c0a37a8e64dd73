"""Normalisation by statistics of the values themselves."""

from __future__ import annotations

from onnxplain.graph.batch.node import Node
from onnxplain.graph.batch.table import Result, rule
from onnxplain.graph.batch.values import Mixes

__all__: list[str] = []


@rule("LayerNormalization", "RMSNormalization")
def layer(node: Node) -> Result:
    """Statistics over the last axes, from ``axis`` on; scale and bias broadcast."""
    first = node.integer("axis", -1) % node.x.rank
    node.apart(0, range(first, node.x.rank))
    node.meet(node.tensors())
    node.shared(1, 2)
    return [node.at(0)] * len(node.source.outputs)


@rule("InstanceNormalization", "GroupNormalization")
def image(node: Node) -> Result:
    """Statistics over channels' images, one sample at a time."""
    node.shared(1, 2)
    if node.at(0).axis:
        raise Mixes(f"it normalises over axis {node.at(0).axis}, along which the samples lie")
    return node.made(node.x.shape, node.at(0))


@rule("BatchNormalization")
def batch(node: Node) -> Result:
    """Apply the stored statistics of each channel, outside training."""
    node.shared(1, 2, 3, 4)
    if node.integer("training_mode", 0):
        raise Mixes("it normalises by the statistics of the batch (training mode)")
    if node.at(0).axis == 1 or node.x.rank == 1:
        raise Mixes("it has statistics of its own for each entry of the axis of the samples")
    return node.at(0)


@rule("LRN")
def local(node: Node) -> Result:
    """Statistics over neighbouring channels."""
    node.apart(0, [1])
    return node.at(0)


@rule("MeanVarianceNormalization")
def mean_variance(node: Node) -> Result:
    """Statistics over the axes given."""
    node.apart(0, node.ints("axes") or (0, 2, 3), "normalises over")
    return node.made(node.x.shape, node.at(0))

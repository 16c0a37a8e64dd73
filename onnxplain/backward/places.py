"""Where a node stands among the layers of a graph: what matchers may ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnxplain.backward.registry import Category, lookup

__all__ = ["WHOLE", "Place", "Span", "active_inputs", "find_places"]

#: Operators that are layers where only one of their operands depends on what is explained.
_LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum"})


@dataclass(frozen=True)
class Span:
    """Which part of the whole model a graph is: all of it, or the body of a node.

    Attributes
    ----------
    first, last
        Whether no layer lies before, or after, the graph.
    low, high
        Depth at which it begins and ends.
    """

    first: bool = True
    last: bool = True
    low: float = 0.0
    high: float = 1.0


WHOLE = Span()


@dataclass(frozen=True)
class Place:
    """A node, and where it stands.

    Attributes
    ----------
    node
        The node.
    category
        What it does with its values (a piece of several nodes that is one function of each element counts
        as elementwise).
    layer
        Whether it is a linear layer with weights: Conv, ConvTranspose, Gemm, MatMul or Einsum of which one
        operand depends on what is explained.
    first, last
        Whether it is a layer with no other layer between the inputs and it, or between it and the output.
    depth
        0 at the first layers, 1 at the last; a node that is no layer stands where the layer before it does.
    piece
        Whether it closes a piece of several nodes that is one function of each element.
    """

    node: ir.Node
    category: Category
    layer: bool
    first: bool
    last: bool
    depth: float
    piece: bool = False

    @property
    def span(self) -> Span:
        """What the bodies of the node are of the whole model."""
        return Span(self.first, self.last, self.depth, self.depth)


def active_inputs(node: ir.Node, reached: set[ir.Value]) -> tuple[int, ...]:
    """Return the positions of the inputs that depend on what is explained and carry relevance."""
    row = lookup(node)
    assert row is not None
    linear = row.category is Category.LINEAR
    positions = row.wrt if linear else range(len(node.inputs))
    return tuple(k for k in positions if k < len(node.inputs) and node.inputs[k] in reached)


def find_places(
    nodes: Sequence[ir.Node],
    reached: set[ir.Value],
    regions: Mapping[ir.Node, ir.Value],
    span: Span = WHOLE,
) -> dict[ir.Node, Place]:
    """Say where each node of a path stands.

    Parameters
    ----------
    nodes, reached
        The path, as :func:`~onnxplain.backward.engine.path` returns it.
    regions
        Nodes that close a piece which is one elementwise function, and the value that it is a function of.
    span
        Which part of the model the graph is.
    """
    layers = {
        n for n in nodes if n not in regions and n.op_type in _LAYERS and len(active_inputs(n, reached)) == 1
    }
    before = _layer_on_the_way(nodes, layers, forward=True)
    after = _layer_on_the_way(nodes, layers, forward=False)
    total = max(len(layers) - 1, 1)
    count = 0
    places = {}
    for node in nodes:
        row = lookup(node)
        assert row is not None
        inner = row.collective is not None
        layer = node in layers
        count += layer
        depth = min(max(count - 1, 0) / total, 1.0)
        places[node] = Place(
            node,
            Category.ELEMENTWISE if node in regions else row.category,
            layer,
            (layer or inner) and span.first and not before[node],
            (layer or inner) and span.last and not after[node],
            span.low + (span.high - span.low) * depth,
            node in regions,
        )
    return places


def _layer_on_the_way(
    nodes: Sequence[ir.Node], layers: set[ir.Node], *, forward: bool
) -> dict[ir.Node, bool]:
    """Tell for each node whether a layer lies before it (forward), or after it."""
    behind: set[ir.Value] = set()
    found = {}
    for node in nodes if forward else reversed(nodes):
        near, far = (node.inputs, node.outputs) if forward else (node.outputs, node.inputs)
        found[node] = any(v in behind for v in near)
        if found[node] or node in layers:
            behind.update(v for v in far if v is not None)
    return found

"""Where a node stands among the layers of a graph: what matchers may ask."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnxplain.backward.engine import used_values
from onnxplain.backward.registry import Category, lookup
from onnxplain.graph.traits import Is, operators

__all__ = ["WHOLE", "Place", "Span", "active_inputs", "find_places"]

#: Operators that are layers where only one of their operands depends on what is explained.
_LAYERS = operators(Is.LAYER)


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
        0 at the first layers, 1 at the last: the share of layers before it, on the longest way through it; a
        node that is no layer stands where the layer before it does.
    source
        Where it closes a piece of several nodes that is one function of each element: its argument.
    """

    node: ir.Node
    category: Category
    layer: bool
    first: bool
    last: bool
    depth: float
    source: ir.Value | None = None

    @property
    def piece(self) -> bool:
        """Whether it closes a piece."""
        return self.source is not None

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
    norms: Collection[ir.Node] = (),
) -> dict[ir.Node, Place]:
    """Say where each node of a path stands.

    Parameters
    ----------
    nodes, reached
        The path, as :func:`~onnxplain.backward.engine.between` returns it.
    regions
        Nodes that close a piece which is one elementwise function, or a normalisation, and the value that it
        is a function of.
    span
        Which part of the model the graph is.
    norms
        Those that close a normalisation.
    """
    layers = {
        n for n in nodes if n not in regions and n.op_type in _LAYERS and len(active_inputs(n, reached)) == 1
    }
    steps = layers | {n for n in nodes if _holds_layers(n)}
    before = _most_layers(nodes, steps, regions, forward=True)
    after = _most_layers(nodes, steps, regions, forward=False)
    places = {}
    for node in nodes:
        row = lookup(node)
        assert row is not None
        counts = node in layers or row.collective is not None
        behind = before[node] if node in steps else max(before[node] - 1, 0)
        depth = behind / max(behind + after[node], 1)
        places[node] = Place(
            node,
            _category(node, row.category, regions, norms),
            node in layers,
            counts and span.first and not before[node],
            counts and span.last and not after[node],
            span.low + (span.high - span.low) * depth,
            None if node in norms else regions.get(node),
        )
    return places


def _category(
    node: ir.Node, own: Category, regions: Collection[ir.Node], norms: Collection[ir.Node]
) -> Category:
    if node in norms:
        return Category.NORMALIZATION
    return Category.ELEMENTWISE if node in regions else own


def _holds_layers(node: ir.Node) -> bool:
    """Tell whether a node has layers inside: it is recurrent, or its bodies have some."""
    row = lookup(node)
    if row is not None and row.category is Category.RECURRENT:
        return True
    bodies = [a.as_graph() for a in node.attributes.values() if a.type == ir.AttributeType.GRAPH]
    return any(n.op_type in _LAYERS or _holds_layers(n) for body in bodies for n in body)


def _most_layers(
    nodes: Sequence[ir.Node],
    steps: set[ir.Node],
    regions: Mapping[ir.Node, ir.Value],
    *,
    forward: bool,
) -> dict[ir.Node, int]:
    """Count for each node the layers on the way to it that has most of them (forward), or from it."""
    behind: dict[ir.Value, int] = {}
    found = {}
    for node in nodes if forward else reversed(nodes):
        sources = [regions[node]] if node in regions else used_values(node)
        near, far = (sources, node.outputs) if forward else (node.outputs, sources)
        found[node] = max((behind.get(v, 0) for v in near), default=0)
        for value in far:
            behind[value] = max(behind.get(value, 0), found[node] + (node in steps))
    return found

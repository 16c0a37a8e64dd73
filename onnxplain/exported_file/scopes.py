"""Names in a whole file: bodies share those of what is around them."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

__all__ = ["distinct_names", "free_scope", "graphs_of"]


def graphs_of(model: ir.Model) -> Iterator[ir.Graph]:
    """Yield the graph of a model, and the bodies in it."""
    yield model.graph
    for graph in model.graph.subgraphs():
        if isinstance(graph, ir.Graph):
            yield graph


def free_scope(model: ir.Model, what: str) -> str:
    """Return a prefix that no name in the model has, ``onnxplain/<what>`` or one like it."""
    taken = set()
    for graph in graphs_of(model):
        taken |= {str(v.name) for v in _values(graph)} | {str(n.name) for n in graph}
    scope = f"onnxplain/{what}"
    while any(name.startswith(f"{scope}/") for name in taken):
        scope += "_"
    return scope


def distinct_names(model: ir.Model) -> None:
    """Give values in bodies other names than what is around them has, before or behind the body's node.

    A body is often a whole model, and what comes out of its loop is called as the model's own outputs are.
    The standard wants one value of a name where both can be seen; what reads by name could take one for the
    other.  Names of the outermost graph stay.
    """
    taken = {str(v.name) for graph in graphs_of(model) for v in _values(graph)}
    _rename_below(model.graph, frozenset(), taken)


def _rename_below(graph: ir.Graph, around: frozenset[str], taken: set[str]) -> None:
    own = _values(graph)
    for value in own:
        if value.name in around:
            name = f"{value.name}/inside"
            while name in taken:
                name += "_"
            taken.add(name)
            value.name = name  # an initializer's place follows
    seen = around | {str(v.name) for v in own if v.name}
    for node in graph:
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.GRAPH:
                _rename_below(attribute.as_graph(), seen, taken)
            elif attribute.type == ir.AttributeType.GRAPHS:
                for body in attribute.as_graphs():
                    _rename_below(body, seen, taken)


def _values(graph: ir.Graph) -> list[ir.Value]:
    """Return what a graph takes, holds and makes, each once."""
    made = [*graph.inputs, *graph.initializers.values(), *(o for n in graph for o in n.outputs)]
    return list(dict.fromkeys(made))
